"""Non-maximum suppression on plain arrays: which of many overlapping boxes are one object.

Hard suppression is greedy: boxes are taken best first, and each that overlaps an already kept one of its class (of any
class, if class-agnostic) by more than the threshold goes. Comparisons are strict, arithmetic is float32 and ties are
ranked so that the result is that of ONNX `NonMaxSuppression`, bit for bit. Soft suppression follows Bodla et al.,
"Soft-NMS", 2017, Gaussian form.

Nothing is cut off before suppression, as that would change results: boxes are looked at in blocks, best first, and the
search ends with the last box that is wanted. Memory is bounded by `max_detections` × `BLOCK_SIZE`, time by n ×
`max_detections` overlaps.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Suppression = Literal["class_aware", "class_agnostic", "soft", "none"]
Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

BLOCK_SIZE = 128
"""Boxes that are compared with each other at once. Larger blocks waste overlaps, smaller ones calls."""
SOFT_SIGMA = 0.5
"""Width of the Gaussian by which Soft-NMS lowers scores; the value of the paper."""


class RankedBoxes(NamedTuple):
    """Boxes float32 [n, 4] (left, top, right, bottom), scores float32 [n] and class ids int64 [n]; best first."""

    boxes: Floats
    scores: Floats
    class_ids: Indices

    def take(self, indices: NDArray[Any] | slice) -> RankedBoxes:
        """Those at `indices`, in that order."""
        return RankedBoxes(self.boxes[indices], self.scores[indices], self.class_ids[indices])


def rank_boxes(
    boxes: NDArray[Any], scores: NDArray[Any], class_ids: NDArray[Any], score_threshold: float
) -> RankedBoxes:
    """Boxes [n, 4] with scores [n] strictly above the threshold, best first; equal scores keep their order. A box or a
    score that is not a finite number is left out."""
    boxes, scores = np.asarray(boxes, np.float32), np.asarray(scores, np.float32)
    wanted = np.flatnonzero((scores > score_threshold) & np.isfinite(scores) & np.isfinite(boxes).all(axis=1))
    ranked = wanted[np.argsort(-scores[wanted], kind="stable")]
    return RankedBoxes(boxes[ranked], scores[ranked], np.asarray(class_ids)[ranked].astype(np.int64, copy=False))


def rank_candidates(boxes: NDArray[Any], scores: NDArray[Any], score_threshold: float) -> RankedBoxes:
    """Candidates [k, 4] with a score for every class [k, c] → one box for each pair of candidate and class that is
    above the threshold, best first. Equal scores: lower class first, then lower candidate."""
    pairs = np.flatnonzero(scores > score_threshold)
    candidates, class_ids = np.divmod(pairs, scores.shape[1])
    by_class = np.argsort(class_ids, kind="stable")
    candidates, class_ids = candidates[by_class], class_ids[by_class]
    return rank_boxes(boxes[candidates], scores[candidates, class_ids], class_ids, score_threshold)


def suppress(
    ranked: RankedBoxes, suppression: Suppression, iou_threshold: float, score_threshold: float, max_detections: int
) -> RankedBoxes:
    """What is left of ranked boxes, best first, at most `max_detections`.

    "soft" lowers scores instead of dropping boxes, class by class, and keeps what stays above `score_threshold`; it has
    no use for `iou_threshold`. "none" only cuts. Boxes without area neither suppress nor are suppressed."""
    if suppression == "none":
        return ranked.take(slice(max_detections))
    if suppression == "soft":
        return soft_survivors(ranked, score_threshold, max_detections)
    groups = ranked.class_ids if suppression == "class_aware" else np.zeros_like(ranked.class_ids)
    return ranked.take(hard_survivors(ranked.boxes, groups, iou_threshold, max_detections))


def hard_survivors(boxes: Floats, groups: Indices, iou_threshold: float, max_detections: int) -> Indices:
    """Indices of ranked boxes [n, 4] that greedy suppression within each group [n] keeps, best first."""
    corners = upright_corners(boxes)

    def overlapping(first: Indices, second: Indices) -> NDArray[np.bool_]:
        same_group: NDArray[np.bool_] = groups[first, np.newaxis] == groups[second]
        same_group &= overlaps(corners[:, first], corners[:, second]) > iou_threshold
        return same_group

    kept = np.empty(0, np.int64)
    for start in range(0, len(boxes), BLOCK_SIZE):
        if kept.size >= max_detections:
            break
        block = np.arange(start, min(start + BLOCK_SIZE, len(boxes)))
        block = block[~overlapping(kept, block).any(axis=0)]
        suppresses = np.triu(overlapping(block, block), 1)
        alive = np.ones(block.size, bool)
        for rank in range(block.size):
            if alive[rank]:
                alive &= ~suppresses[rank]
        kept = np.concatenate([kept, block[alive]])
    return kept[:max_detections]


def soft_survivors(ranked: RankedBoxes, score_threshold: float, max_detections: int) -> RankedBoxes:
    """Takes the best box, lowers the scores of the others of its class by how much they overlap it, and again."""
    corners = upright_corners(ranked.boxes)
    scores = ranked.scores.astype(np.float64)
    kept: list[int] = []
    kept_scores: list[float] = []
    while scores.size and len(kept) < max_detections:
        best = int(scores.argmax())
        if not scores[best] > score_threshold:
            break
        kept.append(best)
        kept_scores.append(float(scores[best]))
        scores[best] = -np.inf
        others = np.flatnonzero(ranked.class_ids == ranked.class_ids[best])
        overlap = overlaps(corners[:, [best]], corners[:, others])[0]
        scores[others] *= np.exp(-(overlap.astype(np.float64) ** 2) / SOFT_SIGMA)
    return ranked.take(np.array(kept, np.int64))._replace(scores=np.array(kept_scores, np.float32))


def upright_corners(boxes: Floats) -> Floats:
    """Boxes [n, 4] → [5, n]: left, top, right, bottom, area. Swapped corners are put in order, as ONNX does."""
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    with np.errstate(over="ignore"):
        area = (high - low).prod(axis=1)
    return np.ascontiguousarray(np.concatenate([low, high, area[:, np.newaxis]], axis=1).T)


def overlaps(first: Floats, second: Floats) -> Floats:
    """Intersection over union of every box of [5, a] with every box of [5, b] → float32 [a, b]; 0 without area."""
    left, top, right, bottom, area = first[:, :, np.newaxis]
    with np.errstate(over="ignore", invalid="ignore"):
        width = np.minimum(right, second[2]) - np.maximum(left, second[0])
        height = np.minimum(bottom, second[3]) - np.maximum(top, second[1])
        intersection = np.maximum(width, 0) * np.maximum(height, 0)
        union = area + second[4] - intersection
    shared: Floats = np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
    return shared
