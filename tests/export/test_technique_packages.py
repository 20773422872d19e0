"""Techniques that learn on, down to sealed packages of detectors, segmenters and captioners, by the shipped recipes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from export.compress.learning import Learning
from export.generative.checkpoint_subject import subject_of_checkpoint as generative_subject
from export.generative.pipeline import export_generative
from export.pipeline import export_subject
from export.torch_subject import subject_of_checkpoint
from registry.package import ModelPackage, open_package
from tests.hurried_recipes import hurried_recipe
from tests.quick_graphs import with_quick_graphs, write_onnx_quickly
from tests.tiny_learning import checkpoint_of, learning_of
from training.data.cache import CACHE_VARIABLE
from training.networks.network import Network
from training.recipe import TaskName

FEW = ["num_seeds=1", "num_verify=8", "num_profile=8", "num_golden=2", "latency_seconds=0.001"]
FEW_PICTURES = [*FEW, "num_calibration=4", "batch_buckets=[1, 2]"]
FEW_TEXTS = [*FEW, "num_continuations=2", "continuation_tokens=4", "golden_tokens=2", "slots=[1]", "passage_tokens=20"]
VARIANTS: dict[TaskName, dict[str, str]] = {
    "detection": {"magnitude-pruning": "pruned", "low-rank": "thin", "channel-pruning": "narrow"},
    "segmentation": {"clustering": "clustered", "qat": "int8", "distillation": "student"},
    "captioning": {"clustering": "clustered", "int8-dynamic": "int8"},
}
"""Task → recipe → its variant."""
BATCHES = 2


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[TaskName], ModelPackage]:
    """Task → a package with the variants of several recipes."""

    def build(task: TaskName) -> ModelPackage:
        folder = tmp_path_factory.mktemp(task)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(CACHE_VARIABLE, str(folder))
            learning: Learning = learning_of(task, folder)
            checkpoint = checkpoint_of(learning, folder)
            counts = FEW_TEXTS if task == "captioning" else FEW_PICTURES
            recipe = hurried_recipe(list(VARIANTS[task]), task, counts, BATCHES)
            # The pictures of the test, and not those that its recipe names.
            for module in ("torch_subject", "generative.checkpoint_subject"):
                patch.setattr(f"export.{module}.open_source", lambda config: learning.source)
            if task == "captioning":
                patch.setattr("export.captioner_graph.write_onnx", write_onnx_quickly)
                export_generative(generative_subject(checkpoint), recipe, folder / "package")
            else:
                assert isinstance(learning.trained, Network)
                subject = with_quick_graphs(subject_of_checkpoint(checkpoint), learning.trained)
                export_subject(subject, recipe, folder / "package")
        return open_package(folder / "package")

    return build


def num_weights(graph: Path) -> int:
    return sum(numpy_helper.to_array(each).size for each in onnx.load(graph).graph.initializer)


def test_detector(packages: Callable[[TaskName], ModelPackage]) -> None:
    package = packages("detection")
    assert set(package.manifest.variants) == {"fp32", *VARIANTS["detection"].values()}
    sizes = {name: num_weights(package.graph_path(name)) for name in package.manifest.variants}
    assert sizes["narrow"] < sizes["thin"] < sizes["fp32"]
    assert package.variant("pruned").evidence.metrics["zero_weights"] == pytest.approx(0.8, abs=0.02)


def test_segmenter(packages: Callable[[TaskName], ModelPackage]) -> None:
    package = packages("segmentation")
    assert set(package.manifest.variants) == {"fp32", *VARIANTS["segmentation"].values()}
    assert package.variant("int8").precision == "int8"
    assert np.dtype(np.int8) in {
        numpy_helper.to_array(w).dtype for w in onnx.load(package.graph_path("int8")).graph.initializer
    }
    assert num_weights(package.graph_path("student")) < 0.6 * num_weights(package.graph_path("fp32"))
    assert package.graph_path("clustered").suffix == ".coded"


def test_captioner_has_an_encoder_of_its_own_where_its_network_changed(
    packages: Callable[[TaskName], ModelPackage],
) -> None:
    package = packages("captioning")
    encoders = {name: each.graphs["encoder"].file for name, each in package.manifest.variants.items()}
    assert encoders == {"fp32": "encoder.onnx", "int8": "encoder.onnx", "clustered": "clustered/encoder.coded"}
    coded, whole = (package.graph_path(name, "encoder").stat().st_size for name in ("clustered", "fp32"))
    assert coded < whole
