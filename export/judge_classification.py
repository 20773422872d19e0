"""Accuracy, calibration and harm per class of a classifier."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.intervals import paired_difference_interval
from registry.manifest import ClassEvidence
from tasks.classification import ClassificationPrediction
from tasks.task import Array, ParamValue, Prediction, Task

NUM_CONFIDENCE_BINS = 15


class ClassificationJudge:
    """Top-1 accuracy, whole and per class. See `Judge`."""

    def __init__(self, task: Task) -> None:
        self._labels = task.labels
        self._targets: list[int] = []
        self._trained: list[tuple[bool, float]] = []
        self._variant: list[tuple[bool, float]] = []
        self._named: list[tuple[str, str]] = []

    @property
    def metric(self) -> str:
        return "accuracy"

    @property
    def params(self) -> Mapping[str, ParamValue]:
        return {}

    def add(self, trained: Prediction, variant: Prediction, target: Any) -> None:
        assert isinstance(trained, ClassificationPrediction)
        assert isinstance(variant, ClassificationPrediction)
        self._targets.append(target)
        self._named.append((trained.classes[0].label, variant.classes[0].label))
        self._trained.append((trained.classes[0].class_id == target, trained.classes[0].score))
        self._variant.append((variant.classes[0].class_id == target, variant.classes[0].score))

    def metrics(self) -> dict[str, float]:
        return {**summarise(self._variant, ""), **summarise(self._trained, "trained_")}

    def score(self, places: Sequence[int]) -> float:
        return float(np.mean([self._variant[place][0] for place in places])) if len(places) else math.nan

    def per_class(self) -> tuple[ClassEvidence, ...]:
        targets = np.array(self._targets)
        trained = np.array([right for right, _ in self._trained], bool)
        variant = np.array([right for right, _ in self._variant], bool)
        return tuple(
            class_evidence(label, trained[targets == index], variant[targets == index])
            for index, label in enumerate(self._labels)
        )

    def worths(self) -> list[tuple[float, float]]:
        pairs = zip(self._trained, self._variant, strict=True)
        return [(float(before), float(after)) for (before, _), (after, _) in pairs]

    def conclusions(self) -> list[tuple[str, str]]:
        return list(self._named)

    def truth(self, target: Any) -> str:
        label: str = self._labels[target]
        return label

    def group(self, target: Any) -> int:
        return int(target)

    @property
    def decisive_output(self) -> str:
        return "logits"

    def margin(self, outputs: Mapping[str, Array]) -> float:
        """The decision changes when the best logit falls and the second rises by half their distance."""
        second, best = np.partition(outputs["logits"].astype(np.float64), -2)[-2:]
        return float(best - second) / 2


def summarise(answers: list[tuple[bool, float]], prefix: str) -> dict[str, float]:
    """(right?, confidence) of every example → figures."""
    right, confidence = np.array([r for r, _ in answers], bool), np.array([c for _, c in answers])
    return {
        f"{prefix}accuracy": float(right.mean()),
        f"{prefix}expected_calibration_error": calibration_error(right, confidence),
    }


def calibration_error(right: NDArray[np.bool_], confidence: NDArray[np.float64]) -> float:
    """Expected calibration error in 15 equal bins of confidence (Naeini et al., 2015; Guo et al., 2017)."""
    bins = np.minimum((confidence * NUM_CONFIDENCE_BINS).astype(int), NUM_CONFIDENCE_BINS - 1)
    gaps = [abs(right[bins == b].sum() - confidence[bins == b].sum()) for b in range(NUM_CONFIDENCE_BINS)]
    return float(sum(gaps) / len(right))


def class_evidence(label: str, trained: NDArray[np.bool_], variant: NDArray[np.bool_]) -> ClassEvidence:
    """One class; accuracy 0 with support 0 where the held-out data has none of it."""
    low, high = paired_difference_interval(
        int((trained & ~variant).sum()), int((variant & ~trained).sum()), len(trained)
    )
    return ClassEvidence(
        label=label,
        support=len(trained),
        trained=float(trained.mean()) if len(trained) else 0.0,
        variant=float(variant.mean()) if len(variant) else 0.0,
        difference_low=low,
        difference_high=high,
    )
