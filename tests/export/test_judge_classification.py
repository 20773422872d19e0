"""Accuracy, calibration and harm per class, against figures worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.judge_classification import ClassificationJudge, calibration_error
from tasks.classification import Classification, ClassificationPrediction, ClassificationSpec, ClassScore
from tasks.image import ImageSpec

LABELS = ("cat", "dog")
TASK = Classification(ClassificationSpec(labels=LABELS, image=ImageSpec(height=8, width=8)))


def says(class_id: int, score: float = 0.9) -> ClassificationPrediction:
    return ClassificationPrediction(classes=(ClassScore(LABELS[class_id], class_id, score),), entropy=0.1)


def test_figures_before_and_after() -> None:
    judge = ClassificationJudge(TASK)
    for _ in range(50):
        judge.add(says(0), says(0), 0)
    for _ in range(30):
        judge.add(says(1), says(0), 1)
    for _ in range(20):
        judge.add(says(1), says(1), 1)
    metrics = judge.metrics()
    assert metrics["trained_accuracy"] == 1.0
    assert metrics["accuracy"] == pytest.approx(0.7)
    assert metrics["trained_expected_calibration_error"] == pytest.approx(0.1)
    assert metrics["expected_calibration_error"] == pytest.approx(0.2)
    cat, dog = judge.per_class()
    assert (cat.label, cat.support, cat.trained, cat.variant) == ("cat", 50, 1.0, 1.0)
    assert cat.difference_low < 0 < cat.difference_high
    assert (dog.support, dog.variant) == (50, pytest.approx(0.4))
    assert dog.difference_low < -0.6 < dog.difference_high < -0.4


def test_conclusions_are_the_best_labels() -> None:
    judge = ClassificationJudge(TASK)
    judge.add(says(1), says(0), 1)
    judge.add(says(0), says(0), 1)
    assert judge.conclusions() == [("dog", "cat"), ("cat", "cat")]
    assert judge.worths() == [(1.0, 0.0), (0.0, 0.0)]
    assert judge.truth(1) == "dog"


def test_score_of_some_examples() -> None:
    judge = ClassificationJudge(TASK)
    for after in (0, 1, 1, 0):
        judge.add(says(1), says(after), 1)
    assert (judge.score([1, 2]), judge.score([0, 1, 2, 3]), judge.score([3])) == (1.0, 0.5, 0.0)
    assert math.isnan(judge.score([]))


def test_class_without_examples_claims_nothing() -> None:
    judge = ClassificationJudge(TASK)
    judge.add(says(0), says(0), 0)
    dog = judge.per_class()[1]
    assert (dog.support, dog.difference_low, dog.difference_high) == (0, -1.0, 1.0)


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=8))
def test_no_move_within_the_margin_changes_the_decision(logits: list[float]) -> None:
    values = np.array(logits)
    margin = ClassificationJudge(TASK).margin({"logits": values})
    best = int(values.argmax())
    worst_case = values + margin * 0.999
    worst_case[best] = values[best] - margin * 0.999
    assert worst_case[best] >= worst_case.max() - 1e-9


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=50))
def test_calibration_error_is_a_share(answers: list[tuple[bool, float]]) -> None:
    right, confidence = np.array([r for r, _ in answers]), np.array([c for _, c in answers])
    assert 0 <= calibration_error(right, confidence) <= 1 + 1e-9
