"""Populations of compressed models, made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.forgotten import Answered, Forgotten, Member, find_forgotten
from export.judge_classification import class_evidence

LABELS = ("cat", "dog")


def answered(truths: Sequence[str], conclusions: Sequence[str]) -> Answered:
    worths = [float(one == other) for one, other in zip(truths, conclusions, strict=True)]
    return Answered([10 + place for place in range(len(truths))], truths, conclusions, worths)


def member(truths: Sequence[str], before: Sequence[str], after: Sequence[str], calibration: float = 0.1) -> Member:
    """A classifier that compression makes say `after` where it said `before`."""
    trained, variant = answered(truths, before), answered(truths, after)
    right = {"trained": np.array(trained.worths, bool), "variant": np.array(variant.worths, bool)}
    shown = {label: np.array([each == label for each in truths]) for label in LABELS}
    return Member(
        metrics={
            "accuracy": float(right["variant"].mean()),
            "trained_accuracy": float(right["trained"].mean()),
            "expected_calibration_error": calibration,
            "trained_expected_calibration_error": 0.05,
        },
        per_class=[
            class_evidence(label, right["trained"][shown[label]], right["variant"][shown[label]]) for label in LABELS
        ],
        conclusions=after,
        worths=variant.worths,
    )


def forgotten_of(truths: Sequence[str], before: Sequence[str], *after: Sequence[str]) -> Forgotten:
    """`after`: what the model of each seed says."""
    members = [member(truths, before, each, 0.1 * (seed + 1)) for seed, each in enumerate(after)]
    return find_forgotten("accuracy", answered(truths, before), members)
