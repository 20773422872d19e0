"""How far two answers about the objects of one picture agree: which boxes of one are boxes of the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.detection import DetectedObject

MIN_IOU = 0.5
"""Two boxes mean the same object from here on, as in the PASCAL VOC challenge (Everingham et al., 2010)."""


def matched_share(one: Sequence[DetectedObject], other: Sequence[DetectedObject]) -> float:
    """The share of all boxes of both that have a partner of the same label on the other side, 1 where both see nothing.

    Partners are found one to one, those that overlap most first."""
    if not one and not other:
        return 1.0
    return 2 * num_matched(one, other) / (len(one) + len(other))


def num_matched(one: Sequence[DetectedObject], other: Sequence[DetectedObject]) -> int:
    """Pairs of boxes."""
    if not one or not other:
        return 0
    overlaps = pairwise_iou(boxes_of(one), boxes_of(other))
    overlaps[np.array([a.label for a in one])[:, None] != np.array([b.label for b in other])] = 0.0
    rows, columns = np.nonzero(overlaps >= MIN_IOU)
    best_first = np.argsort(-overlaps[rows, columns], kind="stable")
    taken_rows, taken_columns = set[int](), set[int]()
    for row, column in zip(rows[best_first].tolist(), columns[best_first].tolist(), strict=True):
        if row not in taken_rows and column not in taken_columns:
            taken_rows.add(row)
            taken_columns.add(column)
    return len(taken_rows)


def boxes_of(found: Sequence[DetectedObject]) -> NDArray[np.float64]:
    """[n, 4]: left, top, right, bottom in pixels of the original picture."""
    return np.array([each.box for each in found], np.float64)


def pairwise_iou(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """[n, 4] and [m, 4] → intersection over union [n, m]. Boxes must not be empty."""
    corner = np.maximum(one[:, None, :2], other[:, :2])
    opposite = np.minimum(one[:, None, 2:], other[:, 2:])
    shared = np.prod(np.clip(opposite - corner, 0.0, None), axis=2)
    areas = np.prod(one[:, 2:] - one[:, :2], axis=1)[:, None] + np.prod(other[:, 2:] - other[:, :2], axis=1)
    overlap: NDArray[np.float64] = shared / (areas - shared)
    return overlap
