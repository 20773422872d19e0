"""Steps in a row, by the recipes that are shipped: each keeps what those before it did, down to the sealed package."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from torch import nn

from export.compress.distillation import Distillation
from export.compress.entropy_coding import store_coded
from export.compress.learning import FineTuning, Learning
from export.compress.network_steps import NetworkSteps
from export.compress.steps import network_steps
from export.generative.checkpoint_subject import subject_of_checkpoint as generative_subject
from export.generative.pipeline import export_generative
from export.pipeline import export_subject
from export.recipe import load_export_recipe
from export.torch_subject import subject_of_checkpoint
from registry.package import ModelPackage, open_package
from registry.plain_graph import write_plain_graph
from tests.hurried_recipes import hurried_recipe, hurried_step
from tests.quick_graphs import with_quick_graphs
from tests.tiny_learning import checkpoint_of
from training.networks.config import ModelConfig
from training.recipe import TaskName

FEW = ["num_verify=40", "num_profile=40", "num_golden=4", "latency_seconds=0.001"]
BATCHES = 12


@pytest.fixture(scope="module")
def classifier(learnings: Callable[[TaskName], Learning], tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    """A package with the variants of two recipes, of a network that has learnt for seconds: some answers must agree."""
    learning = learnings("classification")
    trained = copy.deepcopy(learning.trained)
    learning.fine_tune(trained, FineTuning(learning_rate_factor=1.0))
    learning = replace(learning, trained=trained)
    subject = subject_of_checkpoint(checkpoint_of(learning, tmp_path_factory.mktemp("checkpoint")))
    subject = with_quick_graphs(subject, trained)
    counts = [*FEW, "num_seeds=1", "num_calibration=8", "batch_buckets=[1, 3]"]
    recipe = hurried_recipe(["deep-compression", "collaborative-student"], "classification", counts, BATCHES)
    return export_subject(subject, recipe, tmp_path_factory.mktemp("package") / "package")


@pytest.fixture(scope="module")
def completer(learnings: Callable[[TaskName], Learning], tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    """A package of a language model, with the variants of three recipes."""
    subject = generative_subject(checkpoint_of(learnings("text_generation"), tmp_path_factory.mktemp("checkpoint")))
    counts = [*FEW, "num_continuations=4", "continuation_tokens=4", "golden_tokens=4", "slots=[1]", "passage_tokens=20"]
    names = ["collaborative-clustering", "distillation", "collaborative-distillation"]
    recipe = hurried_recipe(names, "text_generation", counts, BATCHES)
    return export_generative(subject, recipe, tmp_path_factory.mktemp("package") / "package")


def matrices(package: ModelPackage, variant: str, role: str, folder: Path) -> dict[str, np.ndarray]:
    """All weights of a graph that have more than one axis, decoded where they are stored coded."""
    folder.mkdir()
    model = onnx.load(write_plain_graph(package, variant, role, folder))
    arrays = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer if len(each.dims) > 1}
    return {name: array for name, array in arrays.items() if array.dtype == np.float32 and array.size > 300}


def shares_values(weight: np.ndarray) -> bool:
    """At most 32, zero aside; of layers with so few weights left that sharing would save nothing, nothing is asked."""
    kept = weight[weight != 0]
    return len(kept) < 64 or len(np.unique(kept)) <= 32


def stored_bytes(graph: Path) -> int:
    """Of a graph, coded."""
    return store_coded(graph, graph.with_suffix(".coded")).path.stat().st_size


def test_deep_compression_leaves_zeros_and_few_values_and_stores_no_more(
    classifier: ModelPackage, tmp_path: Path
) -> None:
    package = open_package(classifier.folder)
    dense, deep = (matrices(package, name, "main", tmp_path / name) for name in ("fp32", "deep"))
    assert len(deep) == len(dense) >= 5
    assert sum(int((w == 0).sum()) for w in deep.values()) > 0.9 * sum(w.size for w in deep.values())
    assert all(shares_values(weight) for weight in deep.values())
    sizes = {name: package.variant(name).evidence.num_bytes for name in ("fp32", "deep")}
    assert sizes["deep"] < 0.3 * sizes["fp32"]


def test_a_student_is_pruned_and_computes_in_bytes(classifier: ModelPackage) -> None:
    package = open_package(classifier.folder)
    assert package.variant("small").precision == "int8"
    assert package.variant("small").evidence.num_bytes < package.variant("fp32").evidence.num_bytes


def test_decoders_keep_zeros_and_shared_values_too(completer: ModelPackage, tmp_path: Path) -> None:
    package = open_package(completer.folder)
    shared = matrices(package, "sparse_clustered", "decoder", tmp_path / "shared")
    layers = [weight for name, weight in shared.items() if not name.startswith(("cosine", "sine"))]
    assert all(shares_values(weight) for weight in layers)
    sparse = matrices(package, "sparse", "decoder", tmp_path / "sparse")
    assert any((weight == 0).mean() > 0.5 for weight in sparse.values())
    matrices(package, "fp32", "decoder", tmp_path / "fp32")
    sizes = {name: stored_bytes(tmp_path / name / "decoder.onnx") for name in ("shared", "sparse", "fp32")}
    assert sizes["shared"] < sizes["sparse"] < sizes["fp32"]
    assert package.variant("student").evidence.num_bytes < package.variant("fp32").evidence.num_bytes


@pytest.mark.parametrize("variant", ["sparse_int8", "shared_int8"])
def test_training_for_bytes_keeps_zeros_and_what_channels_share(
    variant: str, learnings: Callable[[TaskName], Learning]
) -> None:
    learning = learnings("segmentation")
    config = load_export_recipe("collaborative-quantization", task="segmentation").variants[variant]
    *before, aware = [hurried_step(step, 2) for step in network_steps(config.steps)]
    networks = NetworkSteps(learning)
    sparse, ready = networks.compress(before), networks.compress([*before, aware])
    for name, layer in ready.named_modules():
        if isinstance(layer, nn.Conv2d):
            weight = sparse.get_parameter(f"{name}.weight")
            # Small weights may be rounded to zero besides.
            assert (layer.weight[weight == 0] == 0).all(), name
            if variant == "shared_int8" and int((weight != 0).sum()) >= 32:
                assert all(len(channel.unique()) <= 17 for channel in layer.weight), name


def test_tables_of_models_are_those_of_training_recipes() -> None:
    recipe = load_export_recipe(
        "distillation",
        ['variants.student.steps=[{technique="distillation", model={architecture="lstm", options={width=8}}}]'],
        "text_generation",
    )
    step = recipe.variants["student"].steps[0]
    assert isinstance(step, Distillation)
    assert step.model == ModelConfig(architecture="lstm", options={"width": 8})
