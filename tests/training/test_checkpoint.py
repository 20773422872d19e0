from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import save_file

from tasks.errors import InvalidPackage
from training.checkpoint import CheckpointFacts, load_checkpoint, save_checkpoint
from training.classification.report import build_spec
from training.networks.build import build_classifier, settle_model
from training.networks.classifier import Classifier
from training.recipe import Recipe

LABELS = ("zero", "one", "two")


@pytest.fixture
def saved(tmp_path: Path, tiny_recipe: Recipe) -> tuple[Path, Classifier]:
    model = build_classifier(tiny_recipe.model, len(LABELS), tiny_recipe.image).eval()
    facts = CheckpointFacts(
        task=msgspec.to_builtins(build_spec(LABELS, tiny_recipe, 1.5)),
        recipe=msgspec.to_builtins(tiny_recipe),
        network=settle_model(tiny_recipe.model, "backbone"),
        dataset_digest="d" * 64,
        split_sizes={"train": 1, "validation": 1, "test": 1},
        git_commit="",
        libraries={},
        metrics={"val_accuracy": 0.5},
    )
    save_checkpoint(tmp_path / "checkpoint", model, facts)
    return tmp_path / "checkpoint", model


def test_a_loaded_model_answers_as_the_saved_one(saved: tuple[Path, Classifier], tiny_recipe: Recipe) -> None:
    folder, model = saved
    loaded = load_checkpoint(folder)
    images = torch.randint(0, 256, (3, 8, 8, 3), dtype=torch.uint8)
    with torch.inference_mode():
        logits, embedding = loaded.module(images)
        assert torch.equal(logits, model(images)[0])
    assert logits.shape == (3, 3)
    assert embedding.shape == (3, 8)
    assert loaded.task_spec == build_spec(LABELS, tiny_recipe, 1.5)
    assert loaded.recipe == tiny_recipe
    assert not loaded.module.training


def test_a_checkpoint_is_two_files_and_no_pickle(saved: tuple[Path, Classifier]) -> None:
    assert sorted(path.name for path in saved[0].iterdir()) == ["checkpoint.json", "model.safetensors"]


@pytest.mark.parametrize("name", ["checkpoint.json", "model.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "cut", "garbage"])
def test_a_damaged_checkpoint_is_a_clear_error(saved: tuple[Path, Classifier], name: str, damage: str) -> None:
    path = saved[0] / name
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"\x80\x04garbage")
    with pytest.raises(InvalidPackage, match=name):
        load_checkpoint(saved[0])


def test_an_unknown_schema_version_is_refused(saved: tuple[Path, Classifier]) -> None:
    path = saved[0] / "checkpoint.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 99'))
    with pytest.raises(InvalidPackage, match="99"):
        load_checkpoint(saved[0])


def test_weights_of_another_network_are_one_line_of_error(saved: tuple[Path, Classifier]) -> None:
    save_file({"other": torch.zeros(1)}, saved[0] / "model.safetensors")
    with pytest.raises(InvalidPackage, match="train the model again") as caught:
        load_checkpoint(saved[0])
    assert len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)
