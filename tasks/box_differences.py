"""How far two answers of a detector to the same picture are apart.

The order of a top-K may change by a hair of rounding, so nothing is compared rank by rank: every confident box looks
for its partner on the other side, the one nearest in place and score together (boxes that coincide are told apart by
their scores). Confident is what lies clearly above the lowest score that the other side would have let in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.detection_outputs import candidates, kept_boxes
from tasks.detection_spec import DetectionSpec
from tasks.errors import InvalidPackage
from tasks.task import Array, largest_difference

CLEAR_MARGIN = 0.05
"""How far a score must lie above the lowest one of the other side before its box has to be there."""
BLOCK_SIZE = 64
"""Boxes that look for their partners at once: so few that the distances stay in the processor's cache."""
FAR = float("inf")


class Side(NamedTuple):
    """One answer: boxes float32 [n, 4] in pixels of the model's input, scores float32 [n, classes], and the score
    below which a box would not have been in it."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    lowest: float


class Distance(NamedTuple):
    """The largest over all confident boxes: of a corner along an axis, in pixels, and of a score."""

    corner: float
    score: float


def box_differences(
    expected: Mapping[str, Array], actual: Mapping[str, Array], spec: DetectionSpec
) -> dict[str, float]:
    """By output of `actual`: boxes in pixels, scores in shares of one. Candidates are compared in both directions, and
    so are two graphs that suppress by themselves; kept boxes only look for theirs among the expected candidates.

    Class ids and the count are 0, or infinite where they make no sense: a box of another class or too many is a box
    without partner, and shows there."""
    between = sides_distance(expected, actual, spec)
    sound = between.corner < FAR
    meaning = {
        "boxes": between.corner,
        "scores": between.score,
        "kept_boxes": between.corner,
        "kept_scores": between.score,
        "kept_class_ids": 0.0 if sound else FAR,
        "num_kept": 0.0 if sound else FAR,
    }
    return {
        name: meaning[name] if name in meaning else plain_difference(expected, name, actual[name]) for name in actual
    }


def plain_difference(expected: Mapping[str, Array], name: str, array: Array) -> float:
    """Element by element; infinite for an output that is new."""
    return largest_difference(expected[name], array) if name in expected else FAR


def sides_distance(expected: Mapping[str, Array], actual: Mapping[str, Array], spec: DetectionSpec) -> Distance:
    """Infinite where an answer is broken, or of another form than the other."""
    try:
        found = kept_side(actual, spec) if "kept_boxes" in actual else candidate_side(actual, spec)
        wanted = kept_side(expected, spec) if "kept_boxes" in expected else candidate_side(expected, spec)
    except InvalidPackage:
        return Distance(FAR, FAR)
    forth = partner_distance(found, wanted, spec)
    if "kept_boxes" in actual and "kept_boxes" not in expected:
        return forth
    name = "kept_boxes" if "kept_boxes" in actual else "boxes"
    if name not in expected or np.shape(expected[name]) != np.shape(actual[name]):
        return Distance(FAR, FAR)
    back = partner_distance(wanted, found, spec)
    return Distance(max(forth.corner, back.corner), max(forth.score, back.score))


def candidate_side(outputs: Mapping[str, Array], spec: DetectionSpec) -> Side:
    """Raises InvalidPackage."""
    boxes, scores = candidates(outputs, len(spec.labels))
    return Side(boxes, scores, float(scores.max(axis=1).min(initial=1.0)))


def kept_side(outputs: Mapping[str, Array], spec: DetectionSpec) -> Side:
    """Each box with the score of its one class and none for the others. Raises InvalidPackage."""
    boxes, scores, class_ids = kept_boxes(outputs, len(spec.labels))
    by_class = np.zeros((len(boxes), len(spec.labels)), np.float32)
    by_class[np.arange(len(boxes)), class_ids] = scores
    is_full = len(boxes) == len(outputs["kept_scores"])
    threshold = spec.inside.score_threshold if spec.inside else 0.0
    return Side(boxes, by_class, float(scores.min(initial=1.0)) if is_full else threshold)


def partner_distance(source: Side, target: Side, spec: DetectionSpec) -> Distance:
    """How far the confident boxes of `source` are from their partners in `target`."""
    best = source.scores.max(axis=1)
    confident = np.flatnonzero(best > max(spec.min_score_threshold, target.lowest + CLEAR_MARGIN))
    if not confident.size:
        return Distance(0.0, 0.0)
    if not len(target.boxes):
        return Distance(FAR, FAR)
    longest_side = max(spec.image.height, spec.image.width)
    corner, score = 0.0, 0.0
    for start in range(0, confident.size, BLOCK_SIZE):
        block = confident[start : start + BLOCK_SIZE]
        boxes, scores = source.boxes[block], source.scores[block]
        corners, partner = partners(boxes, scores, target, longest_side)
        apart = np.abs(scores - target.scores[partner])[scores > spec.min_score_threshold]
        corner, score = max(corner, float(corners.max())), max(score, float(apart.max()))
    return Distance(corner, score)


def partners(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], target: Side, longest_side: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """For boxes [m, 4] with scores [m, classes]: how far the partner's corners are [m], in pixels, and its index [m].

    The nearest is judged by the largest distance of a corner, as a share of the input's longest side, plus the
    difference in the score of the box's best class."""
    corner = np.abs(boxes[:, :1] - target.boxes[:, 0])
    along_axis = np.empty_like(corner)
    for axis in range(1, 4):
        np.subtract(boxes[:, axis, np.newaxis], target.boxes[:, axis], out=along_axis)
        np.maximum(corner, np.abs(along_axis, out=along_axis), out=corner)
    cost = target.scores.T[scores.argmax(axis=1)]
    np.abs(np.subtract(cost, scores.max(axis=1)[:, np.newaxis], out=cost), out=cost)
    cost += corner / np.float32(longest_side)
    partner = cost.argmin(axis=1)
    return corner[np.arange(len(boxes)), partner], partner
