"""How far two answers about the objects of one picture agree: which boxes of one are boxes of the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.detection import DetectedObject
from tasks.nms import overlaps, upright_corners

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
    shared = overlaps(upright_corners(boxes_of(one)), upright_corners(boxes_of(other)))
    shared[np.array([a.label for a in one])[:, None] != np.array([b.label for b in other])] = 0.0
    rows, columns = np.nonzero(shared >= MIN_IOU)
    best_first = np.argsort(-shared[rows, columns], kind="stable")
    taken_rows, taken_columns = set[int](), set[int]()
    for row, column in zip(rows[best_first].tolist(), columns[best_first].tolist(), strict=True):
        if row not in taken_rows and column not in taken_columns:
            taken_rows.add(row)
            taken_columns.add(column)
    return len(taken_rows)


def boxes_of(found: Sequence[DetectedObject]) -> NDArray[np.float32]:
    """[n, 4]: left, top, right, bottom in pixels of the original picture."""
    return np.array([each.box for each in found], np.float32)
