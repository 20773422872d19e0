"""A network of each kind with all that it takes to learn on: what tests of compression change and fine-tune.

Weights are random: what is tested is that networks keep their form and go on learning, not how much they know.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from export.compress.learning import Learning
from tests.captioning_recipes import tiny_recipe as captioning_recipe
from tests.mask_source import square_source
from tests.tiny_corpus import tiny_recipe as language_recipe
from tests.tiny_corpus import write_texts
from training.checkpoint import Checkpoint, CheckpointFacts
from training.data.annotation import Annotation
from training.data.digits import encode_png
from training.data.source import SPLITS, AnnotatedSplitSource, DataSource, Example, MemorySplit, open_source
from training.kind import open_kind
from training.recipe import Recipe, TaskName, parse_recipe

BACKBONE: dict[str, Any] = {
    "architecture": "resnet",
    "options": {"depths": [1, 1, 1], "widths": [8, 16, 16], "stem": "halve"},
}
OBJECTS = ("dark", "bright")
NUM_PICTURES = 12


def learning_of(task: TaskName, folder: Path, **model: Any) -> Learning:
    """Of a tiny network. `folder` is for the texts of a language model; `model`: its table in the recipe, where it
    should be another. The project's cache must be a folder of the test's own."""
    recipe, source = tiny_recipe(task, folder, model)
    kind = open_kind(task)
    spec = kind.spec(source, recipe)
    torch.manual_seed(0)
    network = kind.network(recipe.model, spec).eval()
    return Learning(network, recipe, spec, source)


def tiny_recipe(task: TaskName, folder: Path, model: dict[str, Any]) -> tuple[Recipe, DataSource]:
    """A recipe of a few batches, and its data."""
    if task == "captioning":
        return captioning_recipe(**({"model": model} if model else {})), rectangle_source()
    if task == "text_generation":
        write_texts(folder, 40)
        recipe = language_recipe(folder, **({"model": model} if model else {}))
        return recipe, open_source(recipe.data)
    facts = {"name": "tiny", "task": task, "data": {"source": "digits"}, "schedule": {"epochs": 1, "batch_size": 8}}
    if task == "classification":
        facts["data"] |= {"validation_fraction": 0.4, "test_fraction": 0.4}  # type: ignore[operator]
        size, head, source = {"height": 16, "width": 16}, model or BACKBONE, None
    elif task == "detection":
        options = {"strides": [4, 8], "channels": 8, "depth": 1, "num_candidates": 20}
        size, source = {"height": 32, "width": 32}, rectangle_source()
        head = model or {"architecture": "fcos", "options": options, "backbone": BACKBONE}
    else:
        size, source = {"height": 16, "width": 16}, square_source()
        head = model or {"architecture": "unet", "options": {"widths": [8, 8], "depth": 1}, "backbone": BACKBONE}
    fit = {"fit": "stretch" if task == "classification" else "letterbox"}
    recipe = parse_recipe({**facts, "image": size | fit, "model": head}, "tiny")
    return recipe, source or open_source(recipe.data)


def rectangle_source() -> AnnotatedSplitSource:
    """Pictures of 64 × 48 with a rectangle of one of two brightnesses, and a caption that says which."""
    rng = np.random.default_rng(0)
    splits = {name: MemorySplit(draw_rectangle(rng) for _ in range(NUM_PICTURES)) for name in SPLITS}
    return AnnotatedSplitSource(OBJECTS, (), splits)


def draw_rectangle(rng: np.random.Generator) -> Example:
    pixels = np.full((48, 64), 120, np.uint8)
    left, top, class_id = int(rng.integers(1, 42)), int(rng.integers(1, 26)), int(rng.integers(2))
    pixels[top : top + 20, left : left + 20] = 255 * class_id
    boxes = np.array([(left, top, left + 20, top + 20)], np.float32)
    said = f"a {OBJECTS[class_id]} rectangle on grey"
    return Example(encode_png(pixels), Annotation(boxes, np.array([class_id]), np.zeros(1, np.bool_), caption=said))


def checkpoint_of(learning: Learning, folder: Path) -> Checkpoint:
    """As training would have left it in `folder`."""
    for asset in open_kind(learning.recipe.task).assets(learning.source, learning.recipe):
        (folder / asset.name).write_bytes(asset.read_bytes())
    facts = CheckpointFacts(
        task=msgspec.to_builtins(learning.spec),
        recipe=msgspec.to_builtins(learning.recipe),
        network=learning.recipe.model,
        dataset_digest="0" * 64,
        split_sizes={},
        git_commit="abc",
        libraries={},
        metrics={},
    )
    return Checkpoint(learning.trained, learning.spec, learning.recipe, facts, folder)
