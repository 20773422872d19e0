"""From the folder that training leaves to a package, by the call that the command line makes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import torch

from export.export_checkpoint import export_checkpoint
from export.recipe import load_export_recipe
from tasks.classification import ClassificationSpec
from training.checkpoint import CheckpointFacts, save_checkpoint
from training.networks.build import build_classifier
from training.recipe import load_recipe


def test_checkpoint_becomes_a_package(tmp_path: Path) -> None:
    recipe = load_recipe("digits-smoke", ["model.options.depths=[1]", "model.options.widths=[4]"])
    spec = ClassificationSpec(labels=tuple("0123456789"), image=recipe.image, temperature=1.5)
    torch.manual_seed(0)
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
    save_checkpoint(tmp_path / "checkpoint", build_classifier(recipe.model, 10, recipe.image), facts)
    quick = load_export_recipe("quick", ["num_verify=100", "num_profile=500", "latency_seconds=0.01"])
    plain = msgspec.structs.replace(quick, variants={"fp32": quick.variants["fp32"]})

    package = export_checkpoint(tmp_path / "checkpoint", plain, tmp_path / "package", run_id="run-7")

    manifest = package.manifest
    assert (manifest.name, manifest.lineage.run_id, manifest.lineage.git_commit) == ("digits", "run-7", "abc")
    assert manifest.task["temperature"] == 1.5
    assert manifest.lineage.recipe["training"]["name"] == "digits"
    assert package.variant("fp32").evidence.num_examples == 100
    assert len(manifest.golden_inputs) == 16
