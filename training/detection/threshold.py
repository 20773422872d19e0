"""From which score on a detection is worth showing: where precision and recall are in balance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.data.annotation import Annotation
from training.detection.coco import Boxes

MIN_OVERLAP = 0.5
"""Intersection over union from which on a detection has found an object."""


class ScoreSweep(NamedTuple):
    """What every score threshold would give, over all classes together: thresholds [n], falling; precision [n] and
    recall [n] of the detections at or above each."""

    thresholds: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]

    @property
    def f1(self) -> NDArray[np.float64]:
        """Harmonic mean of precision and recall: [n]."""
        mean: NDArray[np.float64] = 2 * self.precision * self.recall / np.maximum(self.precision + self.recall, 1e-12)
        return mean

    def best(self, fallback: float) -> float:
        """The threshold of the largest F1; `fallback` where nothing was found at any."""
        return float(self.thresholds[self.f1.argmax()]) if self.f1.any() else fallback


def sweep_scores(truth: Sequence[Annotation], found: Sequence[Boxes]) -> ScoreSweep:
    """Judges all detections of all pictures once, at an overlap of MIN_OVERLAP."""
    scores, hits = [], []
    for annotation, boxes in zip(truth, found, strict=True):
        for class_id in np.unique(boxes.class_ids):
            mine = boxes.class_ids == class_id
            order = np.argsort(-boxes.scores[mine], kind="stable")
            there = annotation.class_ids == class_id
            right, judged = match(boxes.boxes[mine][order], annotation.boxes[there], annotation.crowd[there])
            scores.append(boxes.scores[mine][order][judged])
            hits.append(right[judged])
    num_objects = sum(int((~annotation.crowd).sum()) for annotation in truth)
    all_scores, all_hits = np.concatenate([np.empty(0), *scores]), np.concatenate([np.empty(0, np.bool_), *hits])
    order = np.argsort(-all_scores, kind="stable")
    all_scores, num_right = all_scores[order], np.cumsum(all_hits[order])
    # Detections of one score come and go together.
    last = np.append(np.diff(all_scores) != 0, True)[: len(all_scores)]
    shown = np.arange(1, len(all_scores) + 1)
    return ScoreSweep(all_scores[last], (num_right / shown)[last], (num_right / max(1, num_objects))[last])


def match(
    boxes: NDArray[np.floating], objects: NDArray[np.floating], crowd: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Boxes of one class, best first, each with the free object it overlaps most → which are right [n], and which are
    judged at all [n]: not those that lie in a crowd."""
    shared = intersections(boxes, objects)
    areas, object_areas = areas_of(boxes)[:, None], areas_of(objects)[None]
    overlap = shared / np.maximum(np.where(crowd, areas, areas + object_areas - shared), 1e-12)
    right, judged = np.zeros(len(boxes), np.bool_), np.ones(len(boxes), np.bool_)
    free = ~crowd
    for index, row in enumerate(overlap):
        candidates = np.where(free, row, 0.0)
        if candidates.size and candidates.max() >= MIN_OVERLAP:
            right[index] = True
            free[candidates.argmax()] = False
        else:
            judged[index] = not (row[crowd] >= MIN_OVERLAP).any()
    return right, judged


def intersections(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """The area that every box of [n, 4] shares with every box of [m, 4] → [n, m]."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared: NDArray[np.float64] = np.maximum(high - low, 0).prod(axis=-1)
    return shared


def areas_of(boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """[n, 4] → [n]."""
    areas: NDArray[np.float64] = (boxes[:, 2:] - boxes[:, :2]).prod(axis=-1)
    return areas
