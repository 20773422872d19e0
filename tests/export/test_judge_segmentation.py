"""Intersection over union, calibration and harm per class, against figures worked out by hand."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from export.judge_segmentation import SegmentationJudge
from tasks.image import ImageSpec, Placement
from tasks.segmentation import Segmentation, SegmentationPrediction, SegmentationSpec
from tasks.task import Sample
from training.data.annotation import IGNORED, Annotation

LABELS = ("background", "cat", "dog")
TASK = Segmentation(SegmentationSpec(labels=LABELS, image=ImageSpec(height=8, width=8)))
SAMPLE = Sample(np.zeros((8, 8, 3), np.uint8), Placement(8, 8, 1.0, 1.0, 0.0, 0.0))


def left_half(class_id: int, width: int = 4) -> np.ndarray:
    mask = np.zeros((8, 8), np.uint8)
    mask[:, :width] = class_id
    return mask


def says(mask: np.ndarray, confidence: float = 0.9) -> SegmentationPrediction:
    outputs = {"mask": mask, "confidence": np.full(len(LABELS), confidence, np.float32)}
    return TASK.decode_output(outputs, SAMPLE, TASK.parse_params({}))


def shows(mask: np.ndarray) -> Annotation:
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, "PNG")
    return Annotation(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, bool), stream.getvalue())


def test_figures_before_and_after() -> None:
    judge = SegmentationJudge(TASK)
    for _ in range(30):
        judge.add(says(left_half(1)), says(left_half(1)), shows(left_half(1)))
    for _ in range(30):
        judge.add(says(left_half(2)), says(left_half(1)), shows(left_half(2)))
    metrics = judge.metrics()
    assert metrics["trained_miou"] == 1.0
    assert metrics["iou_class_background"] == 1.0
    assert metrics["iou_class_cat"] == pytest.approx(0.5)
    assert metrics["iou_class_dog"] == 0.0
    assert metrics["miou"] == pytest.approx(0.5)
    assert metrics["trained_boundary_f"] == 1.0
    assert metrics["boundary_f"] < 0.9
    assert metrics["trained_expected_calibration_error"] == pytest.approx(0.1, abs=1e-6)
    # A quarter of all pixels, said with 0.9, is wrong.
    assert metrics["expected_calibration_error"] == pytest.approx(0.15, abs=1e-6)
    background, cat, dog = judge.per_class()
    assert (background.support, background.variant) == (60, 1.0)
    assert (cat.support, cat.trained, cat.variant) == (30, 1.0, 1.0)
    assert (dog.support, dog.trained, dog.variant) == (30, 1.0, 0.0)
    assert dog.difference_high < -0.5


def test_score_of_some_pictures() -> None:
    judge = SegmentationJudge(TASK)
    judge.add(says(left_half(2)), says(left_half(1)), shows(left_half(1)))
    judge.add(says(left_half(2)), says(left_half(1)), shows(left_half(2)))
    blank = np.full((8, 8), IGNORED, np.uint8)
    judge.add(says(left_half(2)), says(left_half(1)), shows(blank))
    assert judge.score([0]) == pytest.approx(1.0)
    assert judge.score([1]) == pytest.approx(1 / 3), "the background alone is right"
    assert judge.score([0, 1, 2]) == pytest.approx(judge.metrics()["miou"]) == pytest.approx(0.5)
    assert math.isnan(judge.score([2]))
    assert math.isnan(judge.score([]))


def test_half_a_region_is_found_and_less_is_not() -> None:
    judge = SegmentationJudge(TASK)
    judge.add(says(left_half(1, 2)), says(left_half(1, 1)), shows(left_half(1, 4)))
    cat = judge.per_class()[1]
    assert (cat.support, cat.trained, cat.variant) == (1, 1.0, 0.0)


def test_pixels_that_nobody_is_judged_by() -> None:
    judge, truth = SegmentationJudge(TASK), left_half(1)
    truth[:, :4] = IGNORED
    judge.add(says(left_half(2)), says(left_half(0)), shows(truth))
    metrics = judge.metrics()
    assert metrics["miou"] == metrics["trained_miou"] == 1.0
    assert "iou_class_cat" not in metrics
    assert [each.support for each in judge.per_class()] == [1, 0, 0]


def test_conclusions_are_the_regions_that_were_found() -> None:
    judge, both = SegmentationJudge(TASK), left_half(1)
    both[:, 6:] = 2
    judge.add(says(both), says(left_half(1)), shows(both))
    judge.add(says(left_half(0)), says(left_half(1)), shows(left_half(0)))
    assert judge.conclusions() == [("cat, dog", "cat"), ("nothing", "nothing")]
    assert judge.truth(shows(both)) == "cat, dog"
    assert judge.truth(shows(left_half(0))) == "nothing"
    (before, after), (nothing, too_much) = judge.worths()
    assert (before, nothing) == (1.0, 1.0)
    assert after == pytest.approx((0.5 + 1 + 0) / 3)
    assert too_much < 0.5


def test_golden_group_is_the_rarest_object_of_the_picture() -> None:
    judge, both = SegmentationJudge(TASK), left_half(1)
    both[:, 6:] = 2
    for mask in (left_half(1), both, left_half(0)):
        judge.add(says(mask), says(mask), shows(mask))
    assert judge.group(shows(both)) == 2
    assert judge.group(shows(left_half(1))) == 1
    assert judge.group(shows(left_half(0))) == -1


@given(arrays(np.uint8, (8, 8), elements=st.integers(0, 2)), st.randoms(use_true_random=False))
def test_no_move_within_the_margin_changes_the_decision(mask: np.ndarray, random: object) -> None:
    margin = SegmentationJudge(TASK).margin({"mask": mask})
    pixels = np.arange(64)
    random.shuffle(pixels)  # type: ignore[attr-defined]
    moved = mask.copy().ravel()
    count = max(0, int(np.ceil(margin * 64 - 1e-9)) - 1)
    moved[pixels[:count]] = [random.choice((0, 1, 2)) for _ in range(count)]  # type: ignore[attr-defined]
    assert TASK.decision(says(mask)) == TASK.decision(says(moved.reshape(8, 8)))
