"""Models of every kind on the bench: what a variant costs and is worth, on data that the export is not proved on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import torch

from export.recipe import load_export_recipe
from export.search.bench import generative_bench, open_bench, single_shot_bench
from export.subject import Subject
from tasks.classification import ClassificationSpec
from tasks.errors import InvalidRecipe
from tests.language_subjects import language_subject
from training.checkpoint import CheckpointFacts, save_checkpoint
from training.networks.build import build_classifier
from training.recipe import load_recipe

LITTLE = ("num_seeds=1", "num_verify=8", "num_profile=1", "latency_seconds=0.01")
TINY = ("model.options.depths=[1]", "model.options.widths=[4]", "image.height=8", "image.width=8")


def test_trials_are_weighed_on_validation_data(subject: Subject, tmp_path: Path) -> None:
    steps = 'variants.compressed.steps=[{technique = "int8_static"}]'
    recipe = load_export_recipe("search", [*LITTLE, "num_calibration=8", steps], "classification")
    without_test_data = replace(subject, data=replace(subject.data, held_out=[]))
    result = single_shot_bench(without_test_data, "classification", "").measure(recipe, "compressed", tmp_path)
    assert 0 < result.figures["accuracy"] <= 1
    assert list(tmp_path.iterdir()) == [], "graphs of trials are not kept"


def test_a_model_of_texts_is_judged_by_its_bits(tmp_path: Path) -> None:
    subject = language_subject(tmp_path, steps=5)
    bench = generative_bench(subject, "text_generation", "")
    counts = (*LITTLE, "num_continuations=2", "continuation_tokens=2")
    steps = 'variants.compressed.steps=[{technique = "int8_dynamic"}]'
    recipe = load_export_recipe("search", [*counts, steps], "text_generation")
    result = bench.measure(recipe, "compressed", tmp_path)
    assert (bench.score.name, bench.score.direction) == ("bits_per_byte", "min")
    assert result.figures["bits_per_byte"] > 0
    assert result.figures["num_bytes"] > 0
    assert result.figures["relative_latency"] > 0


def test_a_recipe_without_a_yardstick_is_refused(subject: Subject, tmp_path: Path) -> None:
    recipe = load_export_recipe("quick")
    only = msgspec.structs.replace(recipe, variants={"int8": recipe.variants["int8"]})
    with pytest.raises(InvalidRecipe, match="needs a variant without steps"):
        single_shot_bench(subject, "classification", "").measure(only, "int8", tmp_path)


def test_a_checkpoint_is_opened(tmp_path: Path) -> None:
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
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "checkpoint", build_classifier(recipe.model, 10, recipe.image_spec), facts)
    bench = open_bench(tmp_path / "checkpoint", "run-7", tmp_path)
    assert (bench.name, bench.run_id, bench.task) == ("digits", "run-7", "classification")
    assert (bench.score.name, bench.score.direction) == ("accuracy", "max")
