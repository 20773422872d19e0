from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.annotation import Annotation
from training.detection.coco import Boxes, coco_metrics, judge

LABELS = ("cat", "dog", "owl")
SIZE = (200, 300)
SQUARE = (10.0, 10.0, 50.0, 50.0)
FAR = (100.0, 100.0, 140.0, 140.0)
Object = tuple[tuple[float, float, float, float], int]


def truth(*objects: Object, crowd: tuple[bool, ...] | None = None) -> Annotation:
    boxes = np.array([box for box, _ in objects], np.float32).reshape(-1, 4)
    ids = np.array([class_id for _, class_id in objects], np.int64)
    return Annotation(boxes, ids, np.array(crowd or [False] * len(objects), np.bool_))


def found(*detections: tuple[tuple[float, float, float, float], int, float]) -> Boxes:
    boxes = np.array([box for box, _, _ in detections]).reshape(-1, 4)
    return Boxes(boxes, np.array([s for _, _, s in detections]), np.array([c for _, c, _ in detections], np.int64))


def metrics(pictures: list[tuple[Annotation, Boxes]]) -> dict[str, float]:
    return coco_metrics([t for t, _ in pictures], [SIZE] * len(pictures), [f for _, f in pictures], LABELS)


def test_all_found_exactly_is_one_everywhere() -> None:
    figures = metrics([(truth((SQUARE, 0), (FAR, 1)), found((SQUARE, 0, 0.9), (FAR, 1, 0.3)))])
    names = ("ap", "ap50", "ap75", "ap_medium", "recall", "ap_class_cat", "ap_class_dog")
    assert {name: pytest.approx(1.0) for name in names} == figures


def test_judging_writes_nothing_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    metrics([(truth((SQUARE, 0)), found((SQUARE, 0, 0.9)))])
    assert not caplog.records


def test_nothing_found_is_zero_and_what_has_no_object_is_left_out() -> None:
    figures = metrics([(truth((SQUARE, 0)), found())])
    assert figures == {"ap": 0, "ap50": 0, "ap75": 0, "ap_medium": 0, "recall": 0, "ap_class_cat": 0}
    assert metrics([(truth(), found())]) == {}


def test_average_precision_of_a_known_ranking() -> None:
    # Right, wrong, right, of two objects: precision is 1 up to a recall of 0.5, and 2/3 up to 1. COCO samples it at
    # 101 recalls, 51 of which are at most 0.5.
    detections = found((SQUARE, 0, 0.9), ((200.0, 10.0, 240.0, 50.0), 0, 0.8), (FAR, 0, 0.7))
    figures = metrics([(truth((SQUARE, 0), (FAR, 0)), detections)])
    assert figures["ap50"] == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)
    assert figures["ap"] == pytest.approx(figures["ap50"])


def test_a_box_counts_up_to_its_overlap() -> None:
    # An overlap of 0.78 is enough at 0.50, 0.55, 0.60, 0.65, 0.70 and 0.75: six of ten.
    figures = metrics([(truth((SQUARE, 0)), found(((10.0, 10.0, 50.0, 41.2), 0, 0.9)))])
    assert (figures["ap50"], figures["ap75"], figures["ap"]) == pytest.approx((1.0, 1.0, 0.6))


def test_a_second_box_on_the_same_object_is_wrong() -> None:
    pictures = [
        (truth((SQUARE, 0)), found((SQUARE, 0, 0.9), (SQUARE, 0, 0.8))),
        (truth((FAR, 0)), found((FAR, 0, 0.7))),
    ]
    assert metrics(pictures)["ap50"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_the_right_box_of_the_wrong_class_is_wrong() -> None:
    assert metrics([(truth((SQUARE, 0)), found((SQUARE, 1, 0.9)))])["ap50"] == 0


def test_detections_in_a_crowd_are_neither_right_nor_wrong() -> None:
    crowd: Object = ((100.0, 50.0, 280.0, 180.0), 0)
    inside = [((110.0 + 30 * i, 60.0, 130.0 + 30 * i, 90.0), 0, 0.95) for i in range(4)]
    judged = truth((SQUARE, 0), crowd, crowd=(False, True))
    assert metrics([(judged, found((SQUARE, 0, 0.5), *inside))])["ap"] == pytest.approx(1.0)
    assert metrics([(truth((SQUARE, 0)), found((SQUARE, 0, 0.5), *inside))])["ap"] == pytest.approx(0.2)


def test_sizes_are_told_apart() -> None:
    small: Object = ((0.0, 0.0, 20.0, 20.0), 0)
    large: Object = ((50.0, 50.0, 170.0, 170.0), 0)
    figures = metrics([(truth(small, large), found((large[0], 0, 0.9)))])
    assert (figures["ap_small"], figures["ap_large"]) == pytest.approx((0.0, 1.0))
    assert "ap_medium" not in figures


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_neither_the_order_of_pictures_nor_that_of_boxes_matters(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def boxes(count: int) -> np.ndarray:
        corner = rng.uniform(0, 100, (count, 2))
        return np.concatenate([corner, corner + rng.uniform(5, 90, (count, 2))], axis=1).astype(np.float32)

    truths = [Annotation(boxes(3), rng.integers(0, 3, 3), rng.random(3) < 0.2) for _ in range(4)]
    detections = [Boxes(t.boxes + rng.normal(0, 2, (3, 4)), rng.random(3), t.class_ids) for t in truths]
    order, inner = rng.permutation(4), rng.permutation(3)
    shuffled = [Boxes(*(column[inner] for column in detections[i])) for i in order]
    expected = coco_metrics(truths, [SIZE] * 4, detections, LABELS)
    assert coco_metrics([truths[i] for i in order], [SIZE] * 4, shuffled, LABELS) == pytest.approx(expected)
    assert all(0 <= value <= 1 for value in expected.values())


def test_curves_fall_and_average_to_the_class_figures() -> None:
    detections = found((SQUARE, 0, 0.9), ((200.0, 10.0, 240.0, 50.0), 0, 0.8), (FAR, 0, 0.7))
    result = judge([truth((SQUARE, 0), (FAR, 0))], [SIZE], [detections], LABELS)
    curve = result.precision[0, :, 0]
    assert (np.diff(curve) <= 0).all()
    assert result.class_ap(0) == {"cat": pytest.approx(curve.mean())}
