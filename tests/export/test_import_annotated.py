"""Detectors and segmenters that were trained elsewhere, from their folder to a package."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch

from export.import_facts import ImportFacts
from export.import_model import fitting_recipe, import_model
from export.recipe import ExportRecipe, Tolerances, VariantConfig, load_export_recipe
from export.subject import Data, Subject
from registry.manifest import Lineage
from serving.runtimes.onnx_runtime import OnnxRuntime
from serving.self_test import replay_golden
from tasks.detection import DetectionSpec, SuppressionInside
from tasks.errors import BadInput, InvalidRecipe
from tasks.image import ImageSpec
from tasks.segmentation import SegmentationSpec
from tasks.task import open_task
from tests.annotated_folders import write_instances, write_masks
from tests.transformers_models import LABELS, SIDE, detr, save_folder, upernet

COUNTS = ["num_calibration=8", "num_verify=30", "num_profile=34", "num_golden=4", "latency_seconds=0.01"]


def quick(task: str) -> ExportRecipe:
    """The plain variant of the task's recipe: random weights are not worth compressing."""
    recipe = load_export_recipe(task, COUNTS)
    return msgspec.structs.replace(recipe, variants={"fp32": recipe.variants["fp32"]})


def test_detector_is_reproduced(tmp_path: Path) -> None:
    torch.manual_seed(0)
    folder = save_folder(tmp_path / "hub", detr(), {"shortest_edge": SIDE, "longest_edge": 2 * SIDE})
    samples = write_instances(tmp_path / "samples", LABELS, 40)
    facts = ImportFacts(name="hub-detector", task="detection")
    package = import_model(folder, facts, samples, quick("detection"), tmp_path / "package")
    assert isinstance(package.task_spec, DetectionSpec)
    assert (package.task_spec.labels, package.task_spec.suppression) == (LABELS, "none")
    assert package.task_spec.image == ImageSpec(height=SIDE, width=SIDE, fit="letterbox")
    evidence = package.variant("fp32").evidence
    assert evidence.metric == "ap"
    assert evidence.metrics["ap"] == pytest.approx(evidence.metrics["trained_ap"])
    assert evidence.metrics["decision_agreement"] == 1.0
    replay_golden(package, "fp32", open_task(package.task_spec), OnnxRuntime(package.graph_path("fp32")))


def test_segmenter_is_reproduced(tmp_path: Path) -> None:
    torch.manual_seed(0)
    folder = save_folder(tmp_path / "hub", upernet(), {"height": SIDE, "width": SIDE})
    samples, facts = write_masks(tmp_path / "samples", 40), ImportFacts(name="hub-segmenter", task="segmentation")
    package = import_model(folder, facts, samples, quick("segmentation"), tmp_path / "package")
    assert isinstance(package.task_spec, SegmentationSpec)
    assert package.task_spec.labels == LABELS
    evidence = package.variant("fp32").evidence
    assert evidence.metric == "miou"
    assert evidence.metrics["miou"] == pytest.approx(evidence.metrics["trained_miou"], abs=1e-3)
    replay_golden(package, "fp32", open_task(package.task_spec), OnnxRuntime(package.graph_path("fp32")))


def test_folder_of_another_task_says_what_to_set(tmp_path: Path) -> None:
    folder = save_folder(tmp_path / "hub", detr(), {"height": SIDE, "width": SIDE})
    with pytest.raises(BadInput, match="does not open as a segmentation model"):
        import_model(
            folder, ImportFacts(name="x", task="segmentation"), tmp_path, quick("segmentation"), tmp_path / "package"
        )


def test_onnx_files_are_classifiers(tmp_path: Path) -> None:
    (tmp_path / "detector.onnx").write_bytes(b"")
    facts = ImportFacts(name="x", task="detection")
    with pytest.raises(BadInput, match="transformers folder"):
        import_model(tmp_path / "detector.onnx", facts, tmp_path, quick("detection"), tmp_path / "package")


def test_detectors_with_nothing_to_suppress_get_no_variant_that_does() -> None:
    tolerances = Tolerances(
        min_decision_agreement=0.9, max_metric_drop=0.1, max_calibration_increase=0.1, max_class_drop=0.1
    )
    inside = SuppressionInside(score_threshold=0.05, iou_threshold=0.5, max_detections=100)
    plain, suppressed = VariantConfig(tolerances=tolerances), VariantConfig(tolerances=tolerances, suppression=inside)
    spec = DetectionSpec(labels=LABELS, image=ImageSpec(height=SIDE, width=SIDE), suppression="none")
    subject = Subject(
        name="set",
        task_spec=spec,
        reference=dict,
        write_graph=lambda path, opset: None,
        data=Data([], []),
        lineage=Lineage(created_at="", source=""),
    )
    both = ExportRecipe(variants={"fp32": plain, "nms": suppressed})
    assert list(fitting_recipe(both, subject).variants) == ["fp32"]
    with pytest.raises(InvalidRecipe, match="no variant without"):
        fitting_recipe(ExportRecipe(variants={"nms": suppressed}), subject)
