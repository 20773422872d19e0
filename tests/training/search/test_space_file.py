from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import InvalidRecipe
from training.recipe_file import RecipeFolder
from training.search.space import Choices, Dimension, Range
from training.search.space_file import SearchPlan, load_plan

SPACE = """
description = "an example"
trials = 7
objectives = ["score", "latency_ms"]
max_score_loss = 0.01

[trial]
schedule.epochs = 2
schedule.batches_per_epoch = 20

[space]
optimiser.learning_rate = { low = 1e-3, high = 5e-2, log = true }
"model.options.widths" = [[16, 32], [24, 48]]
"variants.small.steps.0.ratio" = { low = 0.1, high = 0.9, step = 0.1 }

[alternatives.optimiser.sgd]
optimiser.name = ["sgd"]

[alternatives.optimiser.adamw]
optimiser.name = ["adamw"]
optimiser.weight_decay = { low = 0, high = 3 }
"""


def load(folder: Path, text: str) -> SearchPlan:
    (folder / "mine.toml").write_text(text)
    return load_plan(RecipeFolder(folder, "search space"), folder / "mine.toml")


def test_a_file_with_everything(tmp_path: Path) -> None:
    plan = load(tmp_path, SPACE)
    assert (plan.num_trials, plan.objectives, plan.max_score_loss) == (7, ("score", "latency_ms"), 0.01)
    assert plan.trial_overrides == ("schedule.epochs=2", "schedule.batches_per_epoch=20")
    assert plan.space.dimensions == (
        Dimension("optimiser.learning_rate", Range(1e-3, 5e-2, log=True)),
        Dimension("model.options.widths", Choices(([16, 32], [24, 48]))),
        Dimension("variants.small.steps.0.ratio", Range(0.1, 0.9, step=0.1)),
    )
    sgd, adamw = plan.space.alternatives["optimiser"].values()
    assert [each.field for each in sgd] == ["optimiser.name"]
    assert [each.field for each in adamw] == ["optimiser.name", "optimiser.weight_decay"]
    names = [each.name for each in (*plan.space.dimensions, *sgd, *adamw)]
    assert len(set(names)) == len(names), "the same field in two alternatives is two dimensions"
    assert plan.origin == str(tmp_path / "mine.toml")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"mine\.toml: there is nothing to search"),
        ("trials = 0\n[space]\na = [1]", r"mine\.toml: .*>= 1.*trials"),
        ("[spaces]\na = [1]", r"mine\.toml: .*unknown field `spaces`; space is nearest; known: alternatives, "),
        ("[space]\noptimiser.name = []", r"mine\.toml: space\.optimiser\.name: expected a list of choices"),
        ("[space]\noptimiser.name = 'sgd'", r"space\.optimiser\.name: expected a list of choices, or a range"),
        ("[space]\na = [1, 2, 1]", r"space\.a: the choices 1, 2, 1 are not all different"),
        ("[space]\na = [2026-01-01]", r"space\.a: .*neither string, number"),
        ("[space]\na = {low = 2, high = 1}", r"space\.a: low must be below high, and both finite, got 2 and 1"),
        ("[space]\na = {low = nan, high = 1}", r"space\.a: low must be below high"),
        ("[space]\na = {low = 1, high = inf}", r"space\.a: low must be below high, and both finite"),
        ("[space]\na = {low = 1}", r"space\.a: .*missing required field `high`"),
        (
            "[space]\na = {low = 1, high = 2, steps = 1}",
            r"space\.a: .*unknown field `steps`; step is nearest; known: high, log, low, step",
        ),
        ("[space]\na = {low = 0, high = 1.0, log = true}", r"space\.a: a logarithmic range must begin above 0"),
        ("[space]\na = {low = 1, high = 2, step = 0}", r"space\.a: step must be above 0"),
        ("[space]\na = {low = 1, high = 9, step = 2, log = true}", r"space\.a: step .* goes with no log"),
        ("[space]\na = [1]\n[alternatives.o.x]\na = [2]", r"a is in \[space\] and in \[alternatives\.o\]"),
        ("[alternatives.o.x]\na = [1]\n[alternatives.p.y]\na = [2]", r"a is in \[alternatives\.o\] and in"),
        ("[alternatives.o.x]\na = 1", r"alternatives\.o\.x\.a: expected a list of choices"),
        ("[alternatives.o]", r"alternatives\.o has no label"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(InvalidRecipe, match=complaint):
        load(tmp_path, text)
