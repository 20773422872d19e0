"""Variants made again from other seeds: the population that shows what compression forgets, and not one draw of it.

Only variants with a step that is drawn by chance are made again (other examples to calibrate or to learn from, in
another order). A step that lets the network learn on does so once for every seed: that is what it costs.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from export.compress.technique import Technique
from export.held_out import decode_batches, draw, stack
from export.recipe import ExportRecipe
from export.subject import Subject
from export.variants import build_variants
from export.verify import Variant
from tasks.task import open_task


def build_population(subject: Subject, recipe: ExportRecipe, folder: Path) -> dict[str, list[Variant]]:
    """Variant → the same from every seed after the first, in the order of the seeds; none where nothing is drawn."""
    drawn = {name: each for name, each in recipe.variants.items() if is_drawn(each.steps)}
    found: dict[str, list[Variant]] = {name: [] for name in recipe.variants}
    if not drawn:
        return found
    task = open_task(subject.task_spec)
    for seed in range(1, recipe.num_seeds):
        examples = draw(subject.data.calibration, recipe.num_calibration, (recipe.seed + seed) % 2**32)
        batches = [stack(items) for items in decode_batches(task, examples, subject.max_batch or 32)]
        output = folder / f"seed-{seed}"
        output.mkdir()
        again = msgspec.structs.replace(recipe, variants=drawn)
        description = f"compressing again, seed {seed + 1} of {recipe.num_seeds}"
        for name, variant in build_variants(with_seed(subject, seed), again, batches, output, description).items():
            found[name].append(variant)
    return found


def is_drawn(steps: Sequence[Technique]) -> bool:
    """Whether another seed gives another variant."""
    return any(step.is_drawn for step in steps)


def with_seed(subject: Subject, seed: int) -> Subject:
    """The same, with a network that learns on from another seed."""
    if subject.learnt is None:
        return subject
    return replace(subject, learnt=replace(subject.learnt, learning=replace(subject.learnt.learning, seed=seed)))


def write_once(subject: Subject, folder: Path) -> Subject:
    """The same, whose float32 graph is written once into `folder`, however many variants and seeds start from it."""

    def write_graph(target: Path, opset: int) -> None:
        written = folder / f"opset-{opset}.onnx"
        if not written.exists():
            subject.write_graph(written, opset)
        shutil.copyfile(written, target)

    return replace(subject, write_graph=write_graph)
