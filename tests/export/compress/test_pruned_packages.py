"""Pruning and low rank down to the sealed package, by the recipes that are shipped."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from export.compress.learning import FineTuning, Learning
from export.generative.checkpoint_subject import subject_of_checkpoint as generative_subject
from export.generative.pipeline import export_generative
from export.pipeline import export_subject
from export.recipe import load_export_recipe
from export.torch_subject import subject_of_checkpoint
from registry.package import ModelPackage, open_package
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.errors import InvalidRecipe
from tests.hurried_recipes import hurried_recipe
from tests.quick_graphs import with_quick_graphs
from tests.tiny_learning import checkpoint_of
from training.recipe import TaskName

FEW = ["num_verify=30", "num_profile=30", "num_golden=4", "latency_seconds=0.001"]
FEW_PICTURES = [*FEW, "num_seeds=1", "num_calibration=8", "batch_buckets=[1, 3]"]
FEW_TEXTS = [*FEW, "num_continuations=4", "continuation_tokens=4", "golden_tokens=4", "slots=[1]", "passage_tokens=20"]
BATCHES = 10


@pytest.fixture(scope="module")
def classifier(learnings: Callable[[TaskName], Learning], tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    """A package with the variants of two recipes, of a network that has learnt for seconds."""
    learning = learnings("classification")
    trained = copy.deepcopy(learning.trained)
    learning.fine_tune(trained, FineTuning(epochs=2, learning_rate_factor=1.0))
    checkpoint = checkpoint_of(replace(learning, trained=trained), tmp_path_factory.mktemp("checkpoint"))
    recipe = hurried_recipe(["sparse-2-4", "channel-pruning"], "classification", FEW_PICTURES, BATCHES)
    subject = with_quick_graphs(subject_of_checkpoint(checkpoint), trained)
    return open_package(export_subject(subject, recipe, tmp_path_factory.mktemp("package") / "package").folder)


def weights(package: ModelPackage, variant: str, role: str = "main") -> dict[str, np.ndarray]:
    """Those of a graph with several axes."""
    graph = onnx.load(package.graph_path(variant, role)).graph
    arrays = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    return {name: array for name, array in arrays.items() if array.ndim > 1 and array.dtype.kind == "f"}


def num_weights(package: ModelPackage, variant: str, role: str = "main") -> int:
    return sum(array.size for array in weights(package, variant, role).values())


def test_two_of_four_weights_are_zero_in_half_floats_for_a_gpu(classifier: ModelPackage) -> None:
    sparse = classifier.variant("sparse_fp16")
    assert (sparse.precision, sparse.requires.provider) == ("fp16", "cuda")
    # All but the first layer, which has three inputs.
    assert 0.8 < sparse.evidence.metrics["two_in_four_weights"] < 1
    assert sparse.evidence.metrics["zero_weights"] == pytest.approx(0.5, abs=0.05)


def test_a_narrow_network_answers_in_the_form_of_the_whole_one(classifier: ModelPackage) -> None:
    assert num_weights(classifier, "narrow") < 0.4 * num_weights(classifier, "fp32")
    shapes = {}
    for name in ("fp32", "narrow"):
        runtime = OnnxRuntime(classifier.graph_path(name))
        outputs = runtime.run({"image": np.zeros((3, 16, 16, 3), np.uint8)})
        shapes[name] = {output: array.shape for output, array in outputs.items()}
        runtime.close()
    assert shapes["fp32"] == {"logits": (3, 10), "embedding": (3, 16)}
    assert shapes["narrow"] == {"logits": (3, 10), "embedding": (3, 8)}
    evidence = classifier.variant("narrow").evidence
    # An embedding of other numbers is not held against the trained one's; the classes are.
    assert "max_difference_logits" in evidence.metrics
    assert "max_difference_embedding" not in evidence.metrics


@pytest.fixture(scope="module")
def completer(learnings: Callable[[TaskName], Learning], tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    subject = generative_subject(checkpoint_of(learnings("text_generation"), tmp_path_factory.mktemp("checkpoint")))
    names = ["magnitude-pruning", "channel-pruning", "low-rank"]
    recipe = hurried_recipe(names, "text_generation", FEW_TEXTS, BATCHES)
    return open_package(export_generative(subject, recipe, tmp_path_factory.mktemp("package") / "package").folder)


def test_decoders_are_narrowed_and_thinned(completer: ModelPackage) -> None:
    sizes = {name: num_weights(completer, name, "decoder") for name in ("fp32", "pruned", "narrow", "thin")}
    assert sizes["narrow"] < sizes["fp32"] == sizes["pruned"]
    assert sizes["thin"] < sizes["fp32"]
    down = weights(completer, "narrow", "decoder")["down_0"]
    assert down.shape[0] == weights(completer, "fp32", "decoder")["down_0"].shape[0] / 2


def test_pruned_weights_are_zeros_in_the_graph_and_counted_in_the_evidence(completer: ModelPackage) -> None:
    pruned = weights(completer, "pruned", "decoder")
    layers = {name: pruned[f"{name}_0"] for name in ("qkv", "output", "gate_up", "down")}
    zeros = sum(int((weight == 0).sum()) for weight in layers.values())
    assert zeros == pytest.approx(0.8 * sum(weight.size for weight in layers.values()), abs=1)
    # The head is tied to the embeddings, of which none is pruned, and counts as what is multiplied by.
    assert 0.3 < completer.variant("pruned").evidence.metrics["zero_weights"] < 0.8
    assert "zero_weights" not in completer.variant("fp32").evidence.metrics


def test_sparse_products_are_not_for_decoders() -> None:
    with pytest.raises(InvalidRecipe, match="TensorRT does not know its attention"):
        load_export_recipe("sparse-2-4", (), "text_generation")
