"""Average precision, calibration and harm per class, against figures worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.judge_detection import DetectionJudge
from tasks.detection import DetectedObject, Detection, DetectionPrediction, DetectionSpec, SuppressionInside
from tasks.errors import BadInput
from tasks.image import ImageSpec, Placement
from tasks.task import Sample
from training.data.annotation import Annotation

LABELS = ("cat", "dog")
SPEC = DetectionSpec(labels=LABELS, image=ImageSpec(height=64, width=64), score_threshold=0.3)
CAT, DOG = (10.0, 10.0, 30.0, 30.0), (40.0, 5.0, 60.0, 45.0)


def saw(*found: tuple[int, float, tuple[float, float, float, float]]) -> DetectionPrediction:
    """Class, score and box of each detection, best first."""
    objects = tuple(DetectedObject(LABELS[class_id], class_id, score, box) for class_id, score, box in found)
    return DetectionPrediction(width=64, height=64, max_detections=100, detections=objects)


def shows(*objects: tuple[int, tuple[float, float, float, float]], num_crowds: int = 0) -> Annotation:
    """Class and box of each object; the last ones are crowds."""
    crowd = np.arange(len(objects)) >= len(objects) - num_crowds
    boxes = np.array([box for _, box in objects], np.float32).reshape(-1, 4)
    return Annotation(boxes, np.array([class_id for class_id, _ in objects], np.int64), crowd)


def judge_of(spec: DetectionSpec = SPEC) -> DetectionJudge:
    return DetectionJudge(Detection(spec))


def test_figures_before_and_after() -> None:
    judge = judge_of()
    for _ in range(40):
        judge.add(saw((0, 0.9, CAT), (1, 0.8, DOG)), saw((0, 0.9, CAT)), shows((0, CAT), (1, DOG)))
    for _ in range(10):
        judge.add(saw((0, 0.9, CAT)), saw((0, 0.9, CAT)), shows((0, CAT)))
    metrics = judge.metrics()
    assert metrics["trained_ap"] == pytest.approx(1.0)
    assert metrics["ap"] == pytest.approx(0.5)
    assert metrics["ap_class_cat"] == pytest.approx(1.0)
    assert metrics["ap_class_dog"] == pytest.approx(0.0)
    assert {"ap50", "ap75", "trained_ap50"} <= set(metrics)
    assert metrics["trained_expected_calibration_error"] == pytest.approx((50 * 0.1 + 40 * 0.2) / 90, abs=1e-6)
    cat, dog = judge.per_class()
    assert (cat.label, cat.support, cat.trained, cat.variant) == ("cat", 50, 1.0, 1.0)
    assert cat.difference_low < 0 < cat.difference_high
    assert (dog.support, dog.trained, dog.variant) == (40, 1.0, 0.0)
    assert dog.difference_high < -0.8


def test_score_of_some_pictures() -> None:
    judge = judge_of()
    judge.add(saw(), saw((0, 0.9, CAT)), shows((0, CAT)))
    judge.add(saw((1, 0.9, DOG)), saw(), shows((1, DOG)))
    judge.add(saw(), saw((1, 0.9, DOG)), shows())
    judge.add(saw(), saw((1, 0.9, DOG)), shows((1, DOG), num_crowds=1))
    assert judge.score([0]) == pytest.approx(1.0)
    assert judge.score([1]) == 0.0
    assert judge.score([0, 1]) == pytest.approx(judge.metrics()["ap"]) == pytest.approx(0.5)
    assert all(math.isnan(judge.score(places)) for places in ([], [2], [3]))


def test_weak_detections_count_for_average_precision_alone() -> None:
    judge = judge_of()
    assert judge.params == {"score_threshold": 0.01}
    judge.add(saw((0, 0.9, CAT), (1, 0.1, DOG)), saw((0, 0.9, CAT), (1, 0.1, DOG)), shows((0, CAT), (1, DOG)))
    assert judge.metrics()["ap"] == pytest.approx(1.0)
    assert judge.metrics()["expected_calibration_error"] == pytest.approx(0.1, abs=1e-6)
    assert judge.per_class()[1].variant == 0.0


def test_object_is_found_once_and_by_its_own_class() -> None:
    judge = judge_of()
    twice = saw((0, 0.9, CAT), (0, 0.8, CAT), (1, 0.7, CAT))
    judge.add(twice, twice, shows((0, CAT), (1, DOG)))
    cat, dog = judge.per_class()
    assert (cat.variant, dog.variant) == (1.0, 0.0)
    # One of three is right, at a mean confidence of 0.8: each falls into a bin of its own.
    assert judge.metrics()["expected_calibration_error"] == pytest.approx((0.1 + 0.8 + 0.7) / 3, abs=1e-6)


def test_crowds_are_neither_found_nor_missed() -> None:
    judge = judge_of()
    inside = (12.0, 12.0, 18.0, 18.0)
    judge.add(saw((0, 0.9, inside)), saw((0, 0.9, inside)), shows((1, DOG), (0, CAT), num_crowds=1))
    cat, dog = judge.per_class()
    assert (cat.support, dog.support, dog.variant) == (0, 1, 0.0)
    assert judge.metrics()["expected_calibration_error"] == 0.0


def test_pictures_without_any_object_prove_nothing() -> None:
    judge = judge_of()
    judge.add(saw(), saw((0, 0.9, CAT)), shows())
    with pytest.raises(BadInput, match="no object"):
        judge.metrics()


def test_detector_that_finds_nothing_has_figures() -> None:
    judge = judge_of()
    judge.add(saw(), saw(), shows((0, CAT)))
    assert judge.metrics()["ap"] == 0.0
    assert judge.metrics()["expected_calibration_error"] == 0.0


def test_golden_group_is_the_rarest_class_of_the_picture() -> None:
    judge = judge_of()
    for target in (shows((0, CAT)), shows((0, CAT), (1, DOG)), shows()):
        judge.add(saw(), saw(), target)
    assert judge.group(shows((0, CAT), (1, DOG))) == 1
    assert judge.group(shows((0, CAT))) == 0
    assert judge.group(shows()) == -1


def test_conclusions_are_what_a_caller_sees() -> None:
    judge = judge_of()
    target = shows((0, CAT), (1, DOG), (1, (0.0, 0.0, 60.0, 60.0)), num_crowds=1)
    judge.add(saw((0, 0.9, CAT), (1, 0.8, DOG)), saw((0, 0.9, CAT), (1, 0.1, DOG)), target)
    judge.add(saw(), saw((0, 0.9, CAT)), shows())
    assert judge.conclusions() == [("1×cat, 1×dog", "1×cat"), ("nothing", "1×cat")]
    assert judge.truth(target) == "1×cat, 1×dog"
    # Of one detection and two objects, one pair belongs together.
    assert judge.worths() == [(1.0, pytest.approx(2 / 3)), (1.0, 0.0)]


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_no_move_within_the_margin_changes_the_decision(scores: list[float], random: object) -> None:
    """Boxes far from each other, so that nothing is suppressed."""
    task = Detection(SPEC)
    sample = Sample(np.zeros((64, 64, 3), np.uint8), Placement(64, 64, 1.0, 1.0, 0.0, 0.0))
    boxes = np.array([[4 * i, 0, 4 * i + 3, 3] for i in range(len(scores))], np.float32)
    before = np.stack([scores, np.zeros(len(scores))], 1).astype(np.float32)
    margin = judge_of().margin({"boxes": boxes, "scores": before, "embedding": np.zeros(1)})
    signs = np.array([random.choice((-1, 1)) for _ in range(before.size)]).reshape(before.shape)  # type: ignore[attr-defined]
    after = np.clip(before + 0.99 * margin * signs, 0, 1).astype(np.float32)
    decisions = [
        task.decision(task.decode_output({"boxes": boxes, "scores": each}, sample, task.parse_params({})))
        for each in (before, after)
    ]
    assert decisions[0] == decisions[1]


def test_margin_of_a_graph_with_suppression_inside() -> None:
    inside = SuppressionInside(score_threshold=0.1, iou_threshold=0.5, max_detections=4)
    judge = judge_of(
        DetectionSpec(labels=LABELS, image=SPEC.image, score_threshold=0.3, max_detections=4, inside=inside)
    )
    kept = {
        "kept_boxes": np.array([CAT, DOG, (0, 0, 0, 0), (0, 0, 0, 0)], np.float32),
        "kept_scores": np.array([0.9, 0.25, 0, 0], np.float32),
        "kept_class_ids": np.zeros(4, np.int64),
        "num_kept": np.array(2, np.int64),
    }
    assert judge.decisive_output == "kept_scores"
    assert judge.params == {"score_threshold": 0.1}
    assert judge.margin(kept) == pytest.approx(0.05)
    assert judge.margin({**kept, "num_kept": np.array(0, np.int64)}) == pytest.approx(0.2)
