"""A classifier that was never trained, in a checkpoint: to a search it is a model like any other."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch

from tasks.classification import ClassificationSpec
from training.checkpoint import CheckpointFacts, save_checkpoint
from training.networks.build import build_classifier
from training.recipe import load_recipe

TINY = ("model.options.depths=[1]", "model.options.widths=[4]", "image.height=8", "image.width=8")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = load_recipe("digits-smoke", TINY)
    spec = ClassificationSpec(labels=tuple("0123456789"), image=recipe.image_spec)
    facts = CheckpointFacts(
        task=msgspec.to_builtins(spec),
        recipe=msgspec.to_builtins(recipe),
        network=recipe.model,
        dataset_digest="0" * 64,
        split_sizes={},
        git_commit="abc",
        libraries={"torch": "2.13"},
        metrics={},
    )
    folder = tmp_path_factory.mktemp("trained") / "checkpoint"
    torch.manual_seed(0)
    save_checkpoint(folder, build_classifier(recipe.model, 10, recipe.image_spec), facts)
    return folder
