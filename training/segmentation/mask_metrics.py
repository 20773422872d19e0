"""How well predicted masks agree with true ones: intersection over union of each class, and how close outlines are.

Counted over all pixels of a data set, in whatever pixels the masks are given in; ratios are taken at the end, so a
class weighs by what there is of it and not by how many pictures show a trace of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.data.annotation import IGNORED

Mask = NDArray[np.uint8]
Counts = NDArray[np.int64]

TOLERANCE_SHARE = 0.0075
"""How far two outlines may be apart and still agree, as a share of the picture's diagonal (Csurka et al., 2013)."""


class BoundaryCounts(NamedTuple):
    """Outline pixels by class, int64 [C] each: all of the predicted and of the true mask, and those that have one of
    the other mask within the tolerance."""

    predicted: Counts
    predicted_near: Counts
    true: Counts
    true_near: Counts


@dataclass
class MaskMetrics:
    """Adds up masks of `num_classes` classes, one picture at a time."""

    num_classes: int
    confusion: Counts = field(init=False)
    """int64 [C, C + 1]: pixels of a true class (row) by what was predicted; the last column is for no class at all."""
    boundaries: Counts = field(init=False)
    """int64 [4, C]: BoundaryCounts, summed."""

    def __post_init__(self) -> None:
        self.confusion = np.zeros((self.num_classes, self.num_classes + 1), np.int64)
        self.boundaries = np.zeros((len(BoundaryCounts._fields), self.num_classes), np.int64)

    def add(self, predicted: Mask, true: Mask) -> None:
        """Two masks uint8 [H, W] of one picture. Pixels whose truth is IGNORED count nowhere; a predicted IGNORED (the
        model never saw the pixel) is wrong wherever the truth is known."""
        self.confusion += count_pixels(predicted, true, self.num_classes)
        self.boundaries += np.stack(count_boundaries(predicted, true, self.num_classes))

    @property
    def iou(self) -> NDArray[np.float64]:
        """[C]; not a number for a class that is neither there nor predicted."""
        return intersection_over_union(self.confusion)

    @property
    def mean_iou(self) -> float:
        """Mean over the classes that are there or predicted."""
        return mean_of_known(self.iou)

    @property
    def boundary_f(self) -> NDArray[np.float64]:
        """[C]: harmonic mean of the shares of predicted and of true outline pixels that are near the other outline;
        not a number for a class without outline in either."""
        return boundary_f_score(BoundaryCounts(*self.boundaries))

    @property
    def mean_boundary_f(self) -> float:
        """Mean over the classes that have an outline."""
        return mean_of_known(self.boundary_f)

    @property
    def pixel_accuracy(self) -> float:
        """Share of pixels named rightly; 0 where nothing was counted."""
        return float(np.trace(self.confusion) / max(1, self.confusion.sum()))


def count_pixels(predicted: Mask, true: Mask, num_classes: int) -> Counts:
    """The confusion int64 [C, C + 1] of two masks of one picture: see MaskMetrics.confusion."""
    known = true != IGNORED
    columns = np.minimum(predicted[known], num_classes).astype(np.int64)
    cells = true[known].astype(np.int64) * (num_classes + 1) + columns
    counts: Counts = np.bincount(cells, minlength=num_classes * (num_classes + 1))
    return counts.reshape(num_classes, num_classes + 1)


def intersection_over_union(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of every class [C], from a confusion [C, ≥ C] with true classes as rows; not a number where nothing is."""
    return divide(*count_regions(confusion))


def count_regions(confusion: NDArray[np.int64]) -> Counts:
    """Pixels of intersection and union int64 [2, C] of every class, from the same."""
    hits = np.diagonal(confusion)
    return np.stack([hits, confusion.sum(axis=1) + confusion.sum(axis=0)[: len(confusion)] - hits])


def boundary_tolerance(height: int, width: int) -> int:
    """In pixels; at least one."""
    return max(1, round(TOLERANCE_SHARE * float(np.hypot(height, width))))


def count_boundaries(predicted: Mask, true: Mask, num_classes: int) -> BoundaryCounts:
    """The outlines of two masks of one picture, compared class by class."""
    radius = boundary_tolerance(*true.shape)
    predicted = np.where(true == IGNORED, IGNORED, predicted).astype(np.uint8)
    outlines = trace_outlines(predicted), trace_outlines(true)
    return BoundaryCounts(
        *count_near(outlines[0], outlines[1], radius, num_classes),
        *count_near(outlines[1], outlines[0], radius, num_classes),
    )


def trace_outlines(mask: Mask) -> Mask:
    """Pixels that touch one of another class by an edge keep their class, all others become IGNORED. What is IGNORED
    has no outline and makes none: where knowledge ends, no object does."""
    outline = np.zeros(mask.shape, bool)
    for first, second in ((np.s_[1:, :], np.s_[:-1, :]), (np.s_[:, 1:], np.s_[:, :-1])):
        differs = (mask[first] != mask[second]) & (mask[first] != IGNORED) & (mask[second] != IGNORED)
        outline[first] |= differs
        outline[second] |= differs
    return np.where(outline, mask, IGNORED).astype(np.uint8)


def count_near(outline: Mask, other: Mask, radius: int, num_classes: int) -> tuple[Counts, Counts]:
    """Pixels of an outline by class, and those of them with one of the same class of the other within `radius`."""
    rows, columns = np.nonzero(outline != IGNORED)
    classes = outline[rows, columns]
    surrounded = np.pad(other, radius, constant_values=IGNORED)
    near = np.zeros(len(rows), bool)
    for down, right in disc(radius):
        near |= surrounded[rows + radius + down, columns + radius + right] == classes
    return (
        np.bincount(classes, minlength=num_classes)[:num_classes],
        np.bincount(classes[near], minlength=num_classes)[:num_classes],
    )


def disc(radius: int) -> list[tuple[int, int]]:
    """Steps (down, right) to every pixel within a distance, the start included."""
    reach = range(-radius, radius + 1)
    return [(down, right) for down in reach for right in reach if down**2 + right**2 <= radius**2]


def boundary_f_score(counts: BoundaryCounts) -> NDArray[np.float64]:
    """Of every class [C]; not a number where neither mask has an outline."""
    precision = counts.predicted_near / np.maximum(counts.predicted, 1)
    recall = counts.true_near / np.maximum(counts.true, 1)
    score = 2 * precision * recall / np.maximum(precision + recall, np.finfo(np.float64).tiny)
    known = (counts.predicted > 0) | (counts.true > 0)
    result: NDArray[np.float64] = np.where(known, score, np.nan)
    return result


def divide(part: Counts | NDArray[np.float64], whole: Counts | NDArray[np.float64]) -> NDArray[np.float64]:
    """Not a number where the whole is nothing."""
    ratio: NDArray[np.float64] = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return ratio


def mean_of_known(values: NDArray[np.float64]) -> float:
    """Mean of what is a number; 0 where nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.0
