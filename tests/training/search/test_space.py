from __future__ import annotations

from collections.abc import Sequence

import pytest

from tasks.errors import InvalidRecipe
from training.search.space import Choices, Dimension, Probe, Range, SearchSpace, check_space

RATE = Dimension("rate", Range(0.1, 0.9))
WIDTH = Dimension("width", Choices((8, 16, 32)))
SGD = Dimension("momentum", Choices((0.8, 0.9)), "optimiser=sgd")


@pytest.mark.parametrize(
    ("values", "size"),
    [
        (Range(1, 8), 8),
        (Range(16, 64, step=16), 4),
        (Range(0.0, 1.0, step=0.1), 11),
        (Range(1, 2, step=0.5), 3),
        (Range(0.0, 1.0), None),
        (Range(1, 2.0), None),
        (Choices(("a", [1, 2])), 2),
    ],
)
def test_how_many_values_there_are(values: Range | Choices, size: int | None) -> None:
    assert values.size == size


def test_how_many_trials_a_space_allows() -> None:
    alternatives = {"optimiser": {"sgd": (SGD,), "adamw": ()}}
    assert SearchSpace((WIDTH,), alternatives).size == 3 * (2 + 1)
    assert SearchSpace((WIDTH, RATE), alternatives).size is None


def test_a_trial_has_the_fields_of_its_own_alternative_alone() -> None:
    space = SearchSpace((WIDTH,), {"optimiser": {"adamw": (), "sgd": (SGD,)}})
    assert space.assign(Probe({})) == ("width=8",)
    assert space.assign(Probe({"optimiser": "sgd"})) == ("width=8", "momentum=0.8")


def parse(overrides: Sequence[str]) -> None:
    """A recipe that knows `width` up to 20 and `momentum`."""
    for each in overrides:
        field, _, value = each.partition("=")
        if field not in ("width", "momentum") or float(value) > 20:
            raise InvalidRecipe(f"recipe.toml with {each}: no such thing")


def test_every_value_is_tried_on_the_recipe_first() -> None:
    check_space(SearchSpace((Dimension("width", Range(1, 20)),), {"o": {"sgd": (SGD,)}}), parse, "my.toml")
    with pytest.raises(InvalidRecipe, match=r"my\.toml: the recipe does not take width=32: recipe\.toml with width=32"):
        check_space(SearchSpace((WIDTH,), {}), parse, "my.toml")
    with pytest.raises(InvalidRecipe, match=r"my\.toml: .* the first value of every field"):
        check_space(SearchSpace((RATE,), {}), parse, "my.toml")
    with pytest.raises(InvalidRecipe, match=r"my\.toml: .* alternatives\.o\.adamw"):
        check_space(SearchSpace((), {"o": {"sgd": (SGD,), "adamw": (RATE,)}}), parse, "my.toml")
    steep = Dimension("momentum", Range(0.5, 30.0), "o=sgd")
    with pytest.raises(InvalidRecipe, match=r"momentum=30\.0 of alternatives\.o\.sgd"):
        check_space(SearchSpace((), {"o": {"sgd": (steep,)}}), parse, "my.toml")
