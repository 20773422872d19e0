"""Mean intersection over union, calibration and harm per class of a segmenter."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.judge import rarest
from export.judge_classification import NUM_CONFIDENCE_BINS, class_evidence
from registry.manifest import ClassEvidence
from tasks.rle import decode_labels
from tasks.segmentation import BACKGROUND, NOTHING, Segmentation, SegmentationPrediction
from tasks.task import Array, ParamValue, Prediction, Task
from training.segmentation.mask_metrics import MaskMetrics, count_pixels, count_regions, divide, mean_of_known

MIN_OVERLAP = 0.5
"""From which intersection over union on a picture's region of a class counts as found."""


class SegmentationJudge:
    """Masks are compared at the size of the original, which is what callers get. The unit of the figures per class is
    the picture that shows the class: its region found before, found after. See `Judge`."""

    def __init__(self, task: Task) -> None:
        assert isinstance(task, Segmentation)
        self._labels = task.labels
        self._background = 0 if task.labels[0] == BACKGROUND else None
        self._trained, self._variant = Tally(task.labels), Tally(task.labels)
        self._shown: list[NDArray[np.bool_]] = []
        self._num_pictures: Counter[int] = Counter()

    @property
    def metric(self) -> str:
        return "miou"

    @property
    def params(self) -> Mapping[str, ParamValue]:
        return {}

    def add(self, trained: Prediction, variant: Prediction, target: Any) -> None:
        assert isinstance(trained, SegmentationPrediction)
        assert isinstance(variant, SegmentationPrediction)
        mask = target.mask()
        self._trained.add(trained, mask)
        self._variant.add(variant, mask)
        shown = self._classes_in(mask)
        self._shown.append(np.isin(np.arange(len(self._labels)), shown))
        self._num_pictures.update(shown)

    def _classes_in(self, mask: NDArray[np.uint8]) -> list[int]:
        return [int(value) for value in np.unique(mask) if value < len(self._labels)]

    def metrics(self) -> dict[str, float]:
        trained = {f"trained_{name}": value for name, value in self._trained.metrics().items()}
        return {**self._variant.metrics(), **trained}

    def score(self, places: Sequence[int]) -> float:
        return self._variant.mean_iou(places)

    def per_class(self) -> tuple[ClassEvidence, ...]:
        shown = np.array(self._shown)
        trained, variant = np.array(self._trained.found), np.array(self._variant.found)
        return tuple(
            class_evidence(label, trained[shown[:, index], index], variant[shown[:, index], index])
            for index, label in enumerate(self._labels)
        )

    def worths(self) -> list[tuple[float, float]]:
        """The mean intersection over union of each picture."""
        return list(zip(self._trained.overlaps, self._variant.overlaps, strict=True))

    def conclusions(self) -> list[tuple[str, str]]:
        """Which of the classes that a picture shows were found: the pixels always differ a little."""
        trained, variant = (np.array(each.found) & np.array(self._shown) for each in (self._trained, self._variant))
        return [(self._name(before), self._name(after)) for before, after in zip(trained, variant, strict=True)]

    def truth(self, target: Any) -> str:
        return self._name(np.isin(np.arange(len(self._labels)), self._classes_in(target.mask())))

    def _name(self, classes: NDArray[np.bool_]) -> str:
        """bool [classes] → their labels, background aside."""
        named = [self._labels[index] for index in np.flatnonzero(classes) if index != self._background]
        return ", ".join(named) or NOTHING

    def group(self, target: Any) -> int:
        objects = [class_id for class_id in self._classes_in(target.mask()) if class_id != self._background]
        return rarest(objects, self._num_pictures)

    @property
    def decisive_output(self) -> str:
        return "mask"

    def margin(self, outputs: Mapping[str, Array]) -> float:
        """In shares of the mask: the decision changes when half of what the largest class is ahead of the second goes
        over to that one. Where nothing was found a single pixel would do."""
        shares = np.bincount(outputs["mask"].ravel(), minlength=max(2, len(self._labels))) / outputs["mask"].size
        if self._background is not None:
            shares[self._background] = 0.0
        second, largest = np.partition(shares, -2)[-2:]
        return float(largest - second) / 2


class Tally:
    """What one model made of all pictures. `found`: for each picture and class, whether the region of it was;
    `overlaps`: the mean intersection over union of each picture; `_counts`: int64 [2, C] of each picture, the pixels
    of intersection and union."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._masks = MaskMetrics(len(labels))
        self.found: list[NDArray[np.bool_]] = []
        self.overlaps: list[float] = []
        self._counts: list[NDArray[np.int64]] = []
        self._right, self._confident, self._pixels = np.zeros((3, NUM_CONFIDENCE_BINS))

    def add(self, prediction: SegmentationPrediction, true: NDArray[np.uint8]) -> None:
        """One picture and its mask uint8 [height, width]."""
        regions = {segment.class_id: segment.rle for segment in prediction.segments if segment.rle is not None}
        predicted = decode_labels(regions)
        self._masks.add(predicted, true)
        confusion = count_pixels(predicted, true, len(self._labels))
        self._counts.append(count_regions(confusion))
        overlaps = divide(*self._counts[-1])
        self.found.append(np.nan_to_num(overlaps) >= MIN_OVERLAP)
        self.overlaps.append(mean_of_known(overlaps))
        for segment in prediction.segments:
            self._weigh(segment.confidence, confusion[:, segment.class_id], segment.class_id)

    def mean_iou(self, places: Sequence[int]) -> float:
        """Of some pictures, over the classes that are there or predicted; not a number where none is."""
        overlaps = divide(*sum((self._counts[place] for place in places), np.zeros((2, len(self._labels)), np.int64)))
        return mean_of_known(overlaps) if (~np.isnan(overlaps)).any() else math.nan

    def _weigh(self, confidence: float, pixels: NDArray[np.int64], class_id: int) -> None:
        """The pixels [true class] of one region, all of which were named with the same confidence."""
        step = min(int(confidence * NUM_CONFIDENCE_BINS), NUM_CONFIDENCE_BINS - 1)
        self._right[step] += pixels[class_id]
        self._pixels[step] += pixels.sum()
        self._confident[step] += confidence * pixels.sum()

    def metrics(self) -> dict[str, float]:
        """Calibration: mean confidence of regions against the share of their pixels that is right, in 15 bins of
        confidence, weighted by pixels."""
        gaps = np.abs(self._right - self._confident).sum()
        named = zip(self._labels, self._masks.iou.tolist(), strict=True)
        return {
            "miou": self._masks.mean_iou,
            "boundary_f": self._masks.mean_boundary_f,
            "pixel_accuracy": self._masks.pixel_accuracy,
            "expected_calibration_error": float(gaps / max(1.0, self._pixels.sum())),
            **{f"iou_class_{label}": value for label, value in named if not np.isnan(value)},
        }
