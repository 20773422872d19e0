"""What a population of compressed models forgot: by class and by example, in the mode and in the mean."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.forgotten import Forgotten, modal, read_forgotten
from tests.populations import forgotten_of

CAT, DOG = "cat", "dog"


def test_changed_is_what_most_seeds_answer_otherwise() -> None:
    truths = [CAT, CAT, DOG, DOG, DOG]
    found = forgotten_of(
        truths,
        [CAT, CAT, DOG, CAT, CAT],
        [DOG, DOG, DOG, DOG, CAT],
        [CAT, DOG, DOG, DOG, CAT],
        [CAT, DOG, DOG, CAT, CAT],
    )
    assert [(each.index, each.truth, each.before, each.after, each.num_seeds) for each in found.changes] == [
        (11, CAT, CAT, DOG, 3),  # right before and forgotten by all: the worst
        (13, DOG, CAT, DOG, 2),  # wrong before
    ]
    assert found.changes[0].worth_before == 1.0
    assert found.changes[1].worth_after == pytest.approx(2 / 3)
    assert found.changed_share == pytest.approx(0.4)


def test_figures_are_by_seed_with_mean_and_spread() -> None:
    found = forgotten_of([CAT, DOG], [CAT, DOG], [CAT, DOG], [DOG, DOG])
    assert found.seeds == (0, 1)
    assert (found.figure.trained, found.figure.by_seed, found.figure.spread) == (1.0, (1.0, 0.5), 0.5)
    assert found.calibration_error.mean == pytest.approx(0.15)
    cat, dog = found.classes
    assert (cat.label, cat.support, cat.right.by_seed, cat.right.mean) == (CAT, 1, (1.0, 0.0), 0.5)
    assert cat.change == pytest.approx(-0.5)
    assert dog.change == 0.0
    assert found.metrics()["accuracy_over_seeds"] == pytest.approx(0.75)


def test_one_seed_has_no_mean_of_its_own() -> None:
    found = forgotten_of([CAT], [CAT], [DOG])
    assert found.metrics() == {"num_seeds": 1.0, "changed_share": 1.0}


def test_loss_of_a_class_is_certain_only_with_enough_examples() -> None:
    few = forgotten_of([CAT] * 3, [CAT] * 3, [DOG] * 3, [DOG] * 3).classes[0]
    many = forgotten_of([CAT] * 300, [CAT] * 300, [DOG] * 300, [DOG] * 300).classes[0]
    assert few.certain_loss < 0.6 < 0.95 < many.certain_loss < 1.0


@given(st.sampled_from("abc"), st.lists(st.sampled_from("abc"), min_size=1, max_size=9))
def test_mode_is_among_the_most_frequent_and_a_tie_proves_no_change(before: str, answers: list[str]) -> None:
    found = modal(before, answers)
    assert answers.count(found) == max(map(answers.count, answers))
    if answers.count(before) == answers.count(found):
        assert found == before


def test_file_says_all_of_it(tmp_path: Path) -> None:
    found = forgotten_of([CAT, DOG], [CAT, DOG], [CAT, CAT])
    (tmp_path / "int8").mkdir()
    (tmp_path / "int8" / "forgotten.json").write_bytes(found.encode())
    assert read_forgotten(tmp_path, "int8") == found
    assert read_forgotten(tmp_path, "fp32") is None
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b"{}", type=Forgotten)


def test_variant_that_lost_everything_does_not_fill_the_package() -> None:
    found = forgotten_of([CAT] * 2_000, [CAT] * 2_000, [DOG] * 2_000)
    assert (found.num_changed, found.changed_share) == (2_000, 1.0)
    assert len(found.encode()) < 200_000
