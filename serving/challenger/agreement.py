"""How far two versions agree about the same picture or prompt, from 0 to 1, by what the task is about.

Versions may differ in the order of their labels and in the size of their input: labels are compared by name, pixels in
the original picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.challenger.box_matching import matched_share
from tasks.detection import DetectionPrediction
from tasks.label_grid import NOT_SEEN, LabelGrid, original_grid
from tasks.segmentation import SegmentationPrediction
from tasks.task import Array, Prediction, Sample, Task


@dataclass(frozen=True, slots=True)
class Seen:
    """What one version made of a picture: `outputs` of its graph without batch axis, and its prediction."""

    task: Task
    sample: Sample
    outputs: Mapping[str, Array]
    prediction: Prediction


def picture_agreement(one: Seen, other: Seen) -> float:
    """Objects: the share of boxes that both have. Masks: the share of equal pixels. Else 1 for the same decision, which
    for a classifier is its best label, and 0 for another."""
    if isinstance(one.prediction, DetectionPrediction) and isinstance(other.prediction, DetectionPrediction):
        return matched_share(one.prediction.detections, other.prediction.detections)
    if isinstance(one.prediction, SegmentationPrediction) and isinstance(other.prediction, SegmentationPrediction):
        return equal_pixels(grid_of(one), grid_of(other), translation(other.task.labels, one.task.labels))
    return float(one.task.decision(one.prediction) == other.task.decision(other.prediction))


def grid_of(seen: Seen) -> LabelGrid:
    """The mask over the original picture."""
    return original_grid(seen.outputs["mask"], seen.sample.placement)


def translation(labels: Sequence[str], wanted: Sequence[str]) -> NDArray[np.int64]:
    """[256]: the index into `labels` → the index of the same label into `wanted`, or one that is none of theirs."""
    known = {label: index for index, label in enumerate(wanted)}
    translated = np.arange(256, 512)
    translated[NOT_SEEN] = NOT_SEEN
    translated[: len(labels)] = [known.get(label, 256 + index) for index, label in enumerate(labels)]
    return translated


def equal_pixels(one: LabelGrid, other: LabelGrid, translated: NDArray[np.int64]) -> float:
    """The share of the original's pixels that have the same label in both, at the cost of the cells. `translated`: the
    labels of the other. 0 for pictures of different size."""
    if (one.height, one.width) != (other.height, other.width):
        return 0.0
    rows, columns = np.union1d(one.row_edges, other.row_edges), np.union1d(one.column_edges, other.column_edges)
    is_equal = cells_between(one, rows, columns) == translated[cells_between(other, rows, columns)]
    num_pixels = np.outer(np.diff(rows), np.diff(columns))
    return float(num_pixels[is_equal].sum() / num_pixels.sum())


def cells_between(grid: LabelGrid, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The labels of a grid on a finer one."""
    row = np.searchsorted(grid.row_edges, rows[:-1], side="right") - 1
    column = np.searchsorted(grid.column_edges, columns[:-1], side="right") - 1
    return grid.labels[row[:, None], column]


def common_prefix(one: Sequence[object], other: Sequence[object]) -> float:
    """The share of the longer one that both begin with; 1 only for equal ones. Of tokens, or of characters."""
    longer = max(len(one), len(other))
    if not longer:
        return 1.0
    differing = (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differing, min(len(one), len(other))) / longer
