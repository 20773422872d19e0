"""A hand-built detector in two variants: one answers candidates, the other suppresses by itself."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx

from export.suppress_onnx import append_suppression
from registry.manifest import GoldenOutputs, Graph, Variant
from registry.package import MANIFEST_NAME, ModelPackage, seal_package
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.detection import DetectionSpec, SuppressionInside
from tasks.image import ImageSpec
from tasks.task import open_task
from tests.detector_graphs import write_detector
from tests.handmade import Handmade, encoded, package_around, profile_of

LABELS = ("cat", "dog", "bird", "fish")
INSIDE = SuppressionInside(score_threshold=0.05, iou_threshold=0.6, max_detections=40)
SPEC = DetectionSpec(
    labels=LABELS,
    image=ImageSpec(height=64, width=96, fit="letterbox"),
    score_threshold=0.25,
    iou_threshold=INSIDE.iou_threshold,
    max_detections=INSIDE.max_detections,
)
CROWD = Handmade(name="crowd", num_golden=2, num_profile=8)
PLAIN, SUPPRESSED = "fp32", "fp32_nms"
"""Its variants, in this order."""


def build_crowd(folder: Path) -> ModelPackage:
    """Random convolutions whose boxes overlap a lot, in both variants."""
    graph = folder.parent / "crowd.onnx"
    write_detector(graph, SPEC.image, len(LABELS))
    package = package_around(folder, SPEC, onnx.load(graph), CROWD)
    variants = {**package.manifest.variants, SUPPRESSED: suppressed_variant(package)}
    (folder / MANIFEST_NAME).unlink()
    return seal_package(folder, msgspec.structs.replace(package.manifest, variants=variants, files={}))


def suppressed_variant(package: ModelPackage) -> Variant:
    """The same graph with suppression inside, its golden outputs and profile."""
    plain, folder = package.variant(PLAIN), package.folder / SUPPRESSED
    spec = msgspec.structs.replace(SPEC, inside=INSIDE)
    folder.mkdir()
    append_suppression(package.graph_path(PLAIN), folder / "model.onnx", INSIDE)
    task, runtime = open_task(spec), OnnxRuntime(folder / "model.onnx")
    images = [task.preprocess(task.sample_from_bytes(payload))["image"] for payload in package.golden_inputs()]
    np.savez(folder / "golden.npz", **runtime.run({"image": np.stack(images)}))
    (folder / "profile.json").write_bytes(profile_of(task, runtime, [encoded(1000 + i) for i in range(8)]))
    tensors, outputs = runtime.inputs, runtime.outputs
    runtime.close()
    return msgspec.structs.replace(
        plain,
        graphs={"main": Graph(file=f"{SUPPRESSED}/model.onnx", inputs=tensors, outputs=outputs)},
        golden=GoldenOutputs(file=f"{SUPPRESSED}/golden.npz", max_abs_difference={o.name: 1e-4 for o in outputs}),
        profile=f"{SUPPRESSED}/profile.json",
        task=msgspec.to_builtins(spec),
    )
