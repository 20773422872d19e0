"""Detectors of transformers answer as transformers itself says they do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil
from transformers.models.rt_detr.image_processing_pil_rt_detr import RTDetrImageProcessorPil

from export.import_facts import DetectionFacts, ImportFacts
from export.transformers_detection import adapt_detector
from export.transformers_folder import TransformersModel, open_folder
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.detection import Detection, DetectionSpec
from tasks.errors import BadInput
from tasks.image import place_image
from tasks.task import Sample
from tests.transformers_models import LABELS, MEAN, SIDE, STD, detr, rt_detr, save_folder

FACTS = ImportFacts(name="hub-detector", task="detection", detection=DetectionFacts(score_threshold=0.5))
PICTURES = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
SIZES = [(50, 120), (64, 64), (200, 30)]


def opened_folder(folder: Path, build: Callable[[], Any]) -> TransformersModel:
    torch.manual_seed(0)
    return open_folder(save_folder(folder, build(), {"height": SIDE, "width": SIDE}), FACTS)


@pytest.fixture(scope="module", params=[(detr, DetrImageProcessorPil), (rt_detr, RTDetrImageProcessorPil)])
def kind(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TransformersModel, Callable[[], Any]]:
    """A saved model, opened, and the class of its picture processor."""
    build, processor = request.param
    return opened_folder(tmp_path_factory.mktemp("hub") / "model", build), processor


def pixels_of(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(((pictures / 255 - MEAN) / STD).transpose(0, 3, 1, 2).astype(np.float32))


def test_detections_are_those_of_its_own_post_processing(kind: tuple[TransformersModel, Callable[[], Any]]) -> None:
    opened, processor = kind
    adapted = adapt_detector(opened, FACTS)
    task, num_found = Detection(adapted.spec), 0
    assert (task.spec.suppression, task.spec.score_threshold, task.spec.max_detections) == ("none", 0.5, 12)
    with torch.inference_mode():
        answer = opened.module(pixel_values=pixels_of(PICTURES))
        outputs = dict(
            zip(adapted.graph.output_names, map(np.asarray, adapted.graph(torch.from_numpy(PICTURES))), strict=True)
        )
    wanted = processor().post_process_object_detection(answer, threshold=0.5, target_sizes=SIZES)
    for index, (height, width) in enumerate(SIZES):
        sample = Sample(PICTURES[index], place_image(height, width, opened.image))
        item = {name: value[index] for name, value in outputs.items()}
        found = task.decode_output(item, sample, task.parse_params({})).detections
        theirs = sorted(zip(*(wanted[index][key].tolist() for key in ("scores", "labels", "boxes")), strict=True))
        visible = [row for row in theirs if clip(row[2], width, height)]
        assert [each.class_id for each in found] == [label for _, label, _ in reversed(visible)]
        np.testing.assert_allclose([each.score for each in found], [row[0] for row in reversed(visible)], atol=1e-5)
        boxes = [clip(row[2], width, height) for row in reversed(visible)]
        np.testing.assert_allclose([each.box for each in found], boxes, atol=1e-3)
        num_found += len(found)
    assert num_found > 5


def clip(box: list[float], width: int, height: int) -> list[float]:
    """Inside the picture; empty where nothing is left."""
    left, top, right, bottom = box
    clipped = [max(0.0, left), max(0.0, top), min(width, right), min(height, bottom)]
    return clipped if clipped[0] < clipped[2] and clipped[1] < clipped[3] else []


def test_written_graph_answers_as_the_unmodified_model(tmp_path: Path) -> None:
    """The kind that is hardest to trace; another is written in test_import_annotated.py."""
    adapted = adapt_detector(opened_folder(tmp_path / "hub", rt_detr), FACTS)
    adapted.write(tmp_path / "model.onnx", 20)
    runtime = OnnxRuntime(tmp_path / "model.onnx")
    assert [(each.name, each.shape[1:]) for each in runtime.outputs] == [
        ("boxes", (12, 4)),
        ("scores", (12, len(LABELS))),
        ("embedding", (16,)),
    ]
    wanted, found = adapted.reference({"image": PICTURES}), runtime.run({"image": PICTURES})
    for name, tolerance in {"boxes": 1e-2, "scores": 1e-3, "embedding": 1e-3}.items():
        np.testing.assert_allclose(found[name], wanted[name], atol=tolerance)


def test_number_of_labels_must_fit(kind: tuple[TransformersModel, Callable[[], Any]], tmp_path: Path) -> None:
    opened = kind[0]
    fewer = TransformersModel(opened.module, LABELS[:1], opened.image, opened.input)
    with pytest.raises(BadInput, match="does not answer as DETR"):
        adapt_detector(fewer, FACTS)


def test_labels_and_size_may_be_given(tmp_path: Path) -> None:
    folder = save_folder(tmp_path, detr(), {"shortest_edge": 64, "longest_edge": 133})
    opened = open_folder(folder, ImportFacts(name="renamed", task="detection", labels=("a", "b", "c")))
    spec = adapt_detector(opened, FACTS).spec
    assert isinstance(spec, DetectionSpec)
    assert (spec.labels, spec.image.fit, spec.image.height) == (("a", "b", "c"), "letterbox", 64)
