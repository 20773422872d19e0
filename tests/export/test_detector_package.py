"""A detector through the whole export: its variants with and without suppression inside are one detector."""

from __future__ import annotations

import io
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from PIL import Image

from export.pipeline import export_subject
from export.recipe import load_export_recipe
from export.subject import Data, Subject
from registry.manifest import Lineage
from registry.package import ModelPackage
from serving.runtimes.onnx_runtime import OnnxRuntime
from serving.self_test import replay_golden
from tasks.detection import Detection, DetectionSpec
from tasks.image import ImageSpec, place_image
from tasks.task import Sample, open_task
from tests.annotated_folders import paint
from tests.detector_graphs import write_detector
from training.data.annotation import Annotation

SPEC = DetectionSpec(labels=("cat", "dog", "bird"), image=ImageSpec(height=64, width=96, fit="letterbox"))


class Annotated(NamedTuple):
    """One painted picture."""

    payload: bytes
    target: Annotation


def example(seed: int) -> Annotated:
    pixels, _, objects = paint(seed)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    corners = [[left, top, left + width, top + height] for _, (left, top, width, height) in objects]
    class_ids = np.array([class_id for class_id, _ in objects], np.int64)
    return Annotated(
        stream.getvalue(), Annotation(np.array(corners, np.float32), class_ids, np.zeros(len(objects), bool))
    )


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    folder = tmp_path_factory.mktemp("detector")
    write_detector(folder / "plain.onnx", SPEC.image, len(SPEC.labels))
    subject = Subject(
        name="boxes",
        task_spec=SPEC,
        reference=OnnxRuntime(folder / "plain.onnx").run,
        write_graph=lambda path, opset: write_detector(path, SPEC.image, len(SPEC.labels)),
        data=Data([example(seed) for seed in range(8)], [example(seed) for seed in range(100, 160)]),
        lineage=Lineage(created_at="2026-01-01T00:00:00Z", source="test"),
    )
    recipe = load_export_recipe("detection", ["num_golden=6", "latency_seconds=0.01"])
    variants = {name: recipe.variants[name] for name in ("fp32", "fp32_nms")}
    return export_subject(subject, msgspec.structs.replace(recipe, variants=variants), folder / "package")


def task_of(package: ModelPackage, variant: str) -> Detection:
    task = open_task(package.task_spec_of(variant))
    assert isinstance(task, Detection)
    return task


def test_variants_find_the_same_on_500_pictures_of_every_accepted_size(package: ModelPackage) -> None:
    variants = ("fp32", "fp32_nms")
    tasks = [task_of(package, name) for name in variants]
    runtimes = [OnnxRuntime(package.graph_path(name)) for name in variants]
    assert [task.spec.inside is None for task in tasks] == [True, False]
    for height, width in package.manifest.image_sizes:
        rng, num_found = np.random.default_rng(height), 0
        for _ in range(20):
            pictures = (rng.random((25, height, width, 3)) * rng.random((25, 1, 1, 1)) * 255).astype(np.uint8)
            answers = [runtime.run({"image": pictures}) for runtime in runtimes]
            for index in range(25):
                original = (int(side) for side in rng.integers(20, 500, 2))
                sample = Sample(pictures[index], place_image(*original, SPEC.image))
                found = [
                    task.decode_output(
                        {name: value[index] for name, value in answer.items()}, sample, task.parse_params({})
                    )
                    for task, answer in zip(tasks, answers, strict=True)
                ]
                assert found[0].detections == found[1].detections
                num_found += len(found[0].detections)
        assert num_found > 1000


def test_both_carry_evidence_of_their_own(package: ModelPackage) -> None:
    plain, suppressed = (package.variant(name).evidence for name in ("fp32", "fp32_nms"))
    assert plain.metric == suppressed.metric == "ap"
    assert plain.metrics["decision_agreement"] == suppressed.metrics["decision_agreement"] == 1.0
    assert suppressed.metrics["ap"] == suppressed.metrics["trained_ap"]
    assert [each.label for each in suppressed.per_class] == list(SPEC.labels)
    assert sum(each.support for each in plain.per_class) > 60
    assert set(package.golden_outputs("fp32_nms")) == {
        "kept_boxes",
        "kept_scores",
        "kept_class_ids",
        "num_kept",
        "embedding",
    }


def test_golden_set_replays_with_either(package: ModelPackage) -> None:
    for name in package.manifest.variants:
        replay_golden(package, name, task_of(package, name), OnnxRuntime(package.graph_path(name)))
