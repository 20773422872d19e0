"""The recipes of compression that are shipped, in a hurry: they learn for a few batches and may lose whatever there is.

What is tested with them is what techniques leave in a package, and not how much it is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from export.compress.channel_pruning import ChannelPruning
from export.compress.distillation import Distillation
from export.compress.learning import FineTuning
from export.compress.low_rank import LowRank
from export.compress.technique import Technique
from export.generative.recipe import GenerativeRecipe, GenerativeTolerances
from export.recipe import ExportRecipe, Tolerances, load_export_recipe
from training.recipe import TaskName

ANYTHING_GOES = {
    ExportRecipe: Tolerances(min_decision_agreement=0, max_metric_drop=1, max_calibration_increase=1, max_class_drop=1),
    GenerativeRecipe: GenerativeTolerances(max_bits_per_byte_increase=1, min_decision_agreement=0),
}
"""Kind of recipe → the tolerances that nothing misses."""


def hurried_recipe(names: Sequence[str], task: TaskName, counts: Sequence[str], batches: int) -> Any:
    """One recipe with the variants of those called `names`. `counts`: overrides of all of them."""
    recipes = [load_export_recipe(name, counts, task) for name in names]
    variants = {
        name: msgspec.structs.replace(
            variant,
            steps=tuple(hurried_step(step, batches) for step in variant.steps),
            tolerances=ANYTHING_GOES[type(recipe)],
        )
        for recipe in recipes
        for name, variant in recipe.variants.items()
    }
    return msgspec.structs.replace(recipes[0], variants=variants)


def hurried_step(step: Technique, batches: int) -> Any:
    """The same for a network of few channels, learning for `batches` at the rate that it was trained with."""
    if isinstance(step, Distillation):
        return msgspec.structs.replace(step, epochs=1, batches_per_epoch=batches)
    if isinstance(step, ChannelPruning):
        step = msgspec.structs.replace(step, round_to=2)
    if isinstance(step, LowRank):
        step = msgspec.structs.replace(step, min_saving=0.05)
    if not hasattr(step, "fine_tuning"):
        return step
    short = FineTuning(batches_per_epoch=batches, learning_rate_factor=1.0)
    return msgspec.structs.replace(step, fine_tuning=short)
