"""Average precision, calibration and harm per class of a detector."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from export.judge import rarest
from export.judge_classification import calibration_error, class_evidence
from registry.manifest import ClassEvidence
from tasks.detection import Detection, DetectionPrediction, count_labels
from tasks.detection_outputs import surviving_boxes
from tasks.detection_spec import DetectionParams, DetectionSpec, Thresholds, limits_of, settle
from tasks.errors import BadInput
from tasks.nms import overlaps, upright_corners
from tasks.task import Array, ParamValue, Prediction, Task
from training.data.annotation import Annotation
from training.detection.coco import Boxes, coco_metrics

MIN_OVERLAP = 0.5
"""From which intersection over union on an object counts as found."""


class Matches(NamedTuple):
    """How the detections of one picture and its objects belong together, those above the default threshold alone."""

    class_ids: NDArray[np.int64]
    """[objects], crowd regions left out."""
    found: NDArray[np.bool_]
    """[objects]: by a detection of the right class."""
    right: NDArray[np.bool_]
    """[detections], those in crowd regions left out."""
    confidence: NDArray[np.float64]
    """[detections]"""


class DetectionJudge:
    """COCO's average precision over all scores that can be had; everything else at the default threshold, which is
    what callers see. The unit of the figures per class is the object: found before, found after. See `Judge`."""

    def __init__(self, task: Task) -> None:
        assert isinstance(task, Detection)
        self._spec: DetectionSpec = task.spec
        self._floor: float = limits_of(task.spec).min_score_threshold
        self._at_floor: Thresholds = settle(task.spec, DetectionParams(score_threshold=self._floor))
        self._targets: list[Annotation] = []
        self._sizes: list[tuple[int, int]] = []
        self._trained: list[Boxes] = []
        self._variant: list[Boxes] = []
        self._num_objects: Counter[int] = Counter()

    @property
    def metric(self) -> str:
        return "ap"

    @property
    def params(self) -> Mapping[str, ParamValue]:
        """The tail of weak detections is a part of average precision."""
        return {"score_threshold": self._floor}

    def add(self, trained: Prediction, variant: Prediction, target: Any) -> None:
        assert isinstance(trained, DetectionPrediction)
        assert isinstance(variant, DetectionPrediction)
        self._targets.append(target)
        self._sizes.append((variant.height, variant.width))
        self._trained.append(boxes_of(trained))
        self._variant.append(boxes_of(variant))
        self._num_objects.update(target.class_ids.tolist())

    def metrics(self) -> dict[str, float]:
        """Raises BadInput where the held-out pictures hold no object at all."""
        if not self._num_objects:
            raise BadInput("the held-out pictures hold no object: a detector can not be judged by them")
        return {**self._summarise(self._variant, ""), **self._summarise(self._trained, "trained_")}

    def score(self, places: Sequence[int]) -> float:
        """Not a number where the pictures hold no object."""
        targets, found = [self._targets[place] for place in places], [self._variant[place] for place in places]
        if not any((~target.crowd).any() for target in targets):
            return math.nan
        if not any(len(each.scores) for each in found):
            return 0.0
        sizes = [self._sizes[place] for place in places]
        return coco_metrics(targets, sizes, found, self._spec.labels)[self.metric]

    def _summarise(self, answers: list[Boxes], prefix: str) -> dict[str, float]:
        """Calibration is that of Küppers et al., "Multivariate Confidence Calibration for Object Detection", 2020, with
        respect to confidence alone: the score of a detection against the share of such that are right."""
        figures = coco_metrics(self._targets, self._sizes, answers, self._spec.labels)
        matches = self._match(answers)
        right, confidence = (np.concatenate([getattr(m, name) for m in matches]) for name in ("right", "confidence"))
        figures["expected_calibration_error"] = calibration_error(right, confidence) if len(right) else 0.0
        return {prefix + name: value for name, value in figures.items()}

    def _match(self, answers: list[Boxes]) -> list[Matches]:
        pairs = zip(answers, self._targets, strict=True)
        return [match(above(found, self._spec.score_threshold), target) for found, target in pairs]

    def per_class(self) -> tuple[ClassEvidence, ...]:
        before, after = self._match(self._trained), self._match(self._variant)
        class_ids = np.concatenate([each.class_ids for each in before])
        trained, variant = (np.concatenate([each.found for each in side]) for side in (before, after))
        return tuple(
            class_evidence(label, trained[class_ids == index], variant[class_ids == index])
            for index, label in enumerate(self._spec.labels)
        )

    def worths(self) -> list[tuple[float, float]]:
        """The F1 score of each picture: detections and objects that belong together, of all of both."""
        before, after = self._match(self._trained), self._match(self._variant)
        return [(f1_score(one), f1_score(other)) for one, other in zip(before, after, strict=True)]

    def conclusions(self) -> list[tuple[str, str]]:
        """How many of each label."""
        pairs = zip(self._trained, self._variant, strict=True)
        return [(self._count(before), self._count(after)) for before, after in pairs]

    def _count(self, found: Boxes) -> str:
        return count_labels(above(found, self._spec.score_threshold).class_ids.tolist(), self._spec.labels)

    def truth(self, target: Any) -> str:
        return count_labels(target.class_ids[~target.crowd].tolist(), self._spec.labels)

    def group(self, target: Any) -> int:
        return rarest(target.class_ids.tolist(), self._num_objects)

    @property
    def decisive_output(self) -> str:
        return "scores" if self._spec.inside is None else "kept_scores"

    def margin(self, outputs: Mapping[str, Array]) -> float:
        """The decision changes when a detection crosses the default threshold: one that is there, one that is too weak,
        or one so weak that it was not looked at. What a graph with suppression inside held back is not known."""
        threshold = self._spec.score_threshold
        scores = surviving_boxes(outputs, self._spec, self._at_floor).scores.astype(np.float64)
        unseen = threshold - self._floor if threshold > self._floor else np.inf
        return float(np.abs(scores - threshold).min(initial=unseen))


def boxes_of(prediction: DetectionPrediction) -> Boxes:
    """The same as compact arrays: thousands of pictures have a hundred weak detections each. Best first."""
    found = prediction.detections
    return Boxes(
        np.array([each.box for each in found], np.float32).reshape(-1, 4),
        np.array([each.score for each in found], np.float32),
        np.array([each.class_id for each in found], np.int64),
    )


def above(found: Boxes, threshold: float) -> Boxes:
    """Those that a request without options is answered."""
    wanted = found.scores > threshold
    return Boxes(found.boxes[wanted], found.scores[wanted], found.class_ids[wanted])


def match(found: Boxes, target: Annotation) -> Matches:
    """Best detections first, each takes the free object of its class that it overlaps most. What takes none is wrong,
    unless it lies for the better part in a crowd of its class."""
    objects, crowds = ~target.crowd, target.crowd
    corners = upright_corners(found.boxes.astype(np.float32))
    overlap = overlaps(corners, upright_corners(target.boxes[objects]))
    overlap[found.class_ids[:, np.newaxis] != target.class_ids[objects]] = 0
    in_crowd = covered_shares(found.boxes, target.boxes[crowds])
    in_crowd[found.class_ids[:, np.newaxis] != target.class_ids[crowds]] = 0
    taken = np.zeros(overlap.shape[1], bool)
    right = np.zeros(len(overlap), bool)
    for rank, row in enumerate(overlap):
        free = np.where(taken, 0, row)
        if free.max(initial=0) >= MIN_OVERLAP:
            right[rank] = taken[free.argmax()] = True
    judged = right | (in_crowd.max(axis=1, initial=0) < MIN_OVERLAP)
    return Matches(target.class_ids[objects], taken, right[judged], found.scores[judged].astype(np.float64))


def f1_score(matches: Matches) -> float:
    """1 where there is nothing and nothing was found."""
    total = len(matches.found) + len(matches.right)
    return float(matches.found.sum() + matches.right.sum()) / total if total else 1.0


def covered_shares(boxes: NDArray[Any], regions: NDArray[Any]) -> NDArray[np.float64]:
    """The share of each box [n, 4] that each region [m, 4] covers, [n, m]."""
    low = np.maximum(boxes[:, np.newaxis, :2], regions[:, :2])
    high = np.minimum(boxes[:, np.newaxis, 2:], regions[:, 2:])
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    shares: NDArray[np.float64] = np.clip(high - low, 0, None).prod(axis=2) / areas[:, np.newaxis]
    return shares
