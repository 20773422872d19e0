"""Feedback on detections: all objects that there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from serving.feedback.class_names import ClassNames
from serving.feedback.given import MAX_OBJECTS, ClassId, ClassName, Coordinate, Feedback
from serving.feedback.verdict import Cell, Verdict
from serving.json_fields import read_json
from tasks.detection import DetectionPrediction
from tasks.errors import BadInput
from tasks.nms import overlaps, upright_corners
from tasks.task import Array, Prediction, Sample

MIN_IOU = 0.5
OBJECTS = "objects"
TRUE_POSITIVE, FALSE_POSITIVE, MISSED = "true_positive", "false_positive", "missed"
FOUND = np.dtype([("class_id", "<u4"), ("box", "<f4", 4)])


class GivenDetection(msgspec.Struct, frozen=True):
    """Its class by index, or else by name."""

    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate]
    class_id: ClassId | None = None
    label: ClassName | None = None


class GivenDetections(msgspec.Struct, frozen=True):
    """The part of a prediction that is judged: objects, best first."""

    detections: tuple[GivenDetection, ...]


class DetectionJudge:
    """What is remembered are class and box of every object that was answered, 20 bytes each, best first."""

    takes: ClassVar[tuple[str, ...]] = ("objects",)

    def __init__(self, labels: Sequence[str]) -> None:
        self._names = ClassNames(labels)

    def recall(self, outputs: Mapping[str, Array], sample: Sample, prediction: Prediction) -> bytes:
        assert isinstance(prediction, DetectionPrediction)
        return np.array([(one.class_id, one.box) for one in prediction.detections], FOUND).tobytes()

    def recall_rows(self, outputs: Mapping[str, Array]) -> Sequence[bytes]:
        """Nothing: candidates before suppression are no answer yet."""
        return ()

    def recall_given(self, prediction: bytes) -> bytes:
        wanted = 'prediction must be what was answered, like {"detections": [{"class_id": 3, "box": [0, 0, 9, 9]}]}'
        given = read_json(prediction, GivenDetections, wanted).detections
        if len(given) > MAX_OBJECTS or any(one.class_id is None and one.label is None for one in given):
            raise BadInput(f"{wanted}: at most {MAX_OBJECTS} objects, each with class_id or label")
        told = [one.class_id if one.class_id is not None else one.label or "" for one in given]
        rows = [(self._names.find(name), one.box) for name, one in zip(told, given, strict=True)]
        return np.array(rows, FOUND).tobytes()

    def judge(self, said: object, feedback: Feedback) -> Verdict:
        """Each answered object, best first, takes the true one of its class that it overlaps most, if that is free
        and the overlap half of their union or more: the matching of PASCAL VOC."""
        assert isinstance(said, bytes)
        assert feedback.objects is not None
        found = np.frombuffer(said, FOUND)
        true_ids = np.array([self._names.find(one.label) for one in feedback.objects], np.int64)
        true_boxes = np.array([one.box for one in feedback.objects], np.float64).reshape(-1, 4)
        if (true_boxes[:, :2] >= true_boxes[:, 2:]).any():
            raise BadInput(
                "a box of the feedback is empty; send left, top, right, bottom with left < right, top < bottom"
            )
        matched = match_boxes(found, true_ids, true_boxes)
        outcomes: Counter[tuple[int, str]] = Counter()
        for class_id, is_match in zip(found["class_id"].tolist(), matched, strict=True):
            outcomes[class_id, TRUE_POSITIVE if is_match else FALSE_POSITIVE] += 1
        for class_id in true_ids.tolist():
            outcomes[class_id, MISSED] += 1
        for class_id in found["class_id"][matched].tolist():
            outcomes[class_id, MISSED] -= 1
        labels = self._names.labels
        counts = {
            Cell(OBJECTS, labels[class_id], outcome): float(count)
            for (class_id, outcome), count in outcomes.items()
            if count
        }
        told: dict[str, Any] = dict.fromkeys((TRUE_POSITIVE, FALSE_POSITIVE, MISSED), 0)
        for cell, count in counts.items():
            told[cell.outcome] += int(count)
        objects = [
            {"label": labels[class_id], "class_id": class_id, "box": box}
            for class_id, box in zip(true_ids.tolist(), true_boxes.tolist(), strict=True)
        ]
        return Verdict(told, {"objects": objects}, counts)


def match_boxes(found: NDArray[Any], true_ids: NDArray[np.int64], true_boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[n]: whether each found object, best first, is a true one."""
    matched = np.zeros(len(found), np.bool_)
    if not len(true_ids):
        return matched
    is_free = np.ones(len(true_ids), np.bool_)
    truth = upright_corners(true_boxes.astype(np.float32))
    for place, (class_id, box) in enumerate(found):
        shared = overlaps(upright_corners(box.astype(np.float32)[None]), truth)[0]
        shared[true_ids != class_id] = 0.0
        best = int(shared.argmax())
        if shared[best] >= MIN_IOU and is_free[best]:
            matched[place], is_free[best] = True, False
    return matched
