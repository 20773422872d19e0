from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.annotation import Annotation
from training.detection.coco import Boxes, judge
from training.detection.threshold import sweep_scores

SQUARE, FAR, LOST = (0.0, 0.0, 10.0, 10.0), (50.0, 50.0, 60.0, 60.0), (80.0, 0.0, 90.0, 10.0)


def truth(*boxes: tuple[float, ...], crowd: bool = False) -> Annotation:
    count = len(boxes)
    array = np.array(boxes, np.float32).reshape(-1, 4)
    return Annotation(array, np.zeros(count, np.int64), np.full(count, crowd, np.bool_))


def found(*detections: tuple[tuple[float, ...], float]) -> Boxes:
    boxes, scores = [box for box, _ in detections], [score for _, score in detections]
    return Boxes(np.array(boxes).reshape(-1, 4), np.array(scores), np.zeros(len(scores), np.int64))


def test_the_threshold_leaves_out_what_is_mostly_wrong() -> None:
    sweep = sweep_scores([truth(SQUARE, FAR)], [found((SQUARE, 0.9), (FAR, 0.6), (LOST, 0.3), (LOST, 0.2))])
    assert sweep.thresholds.tolist() == [0.9, 0.6, 0.3, 0.2]
    assert sweep.precision.tolist() == pytest.approx([1, 1, 2 / 3, 0.5])
    assert sweep.recall.tolist() == pytest.approx([0.5, 1, 1, 1])
    assert sweep.best(0.25) == 0.6
    assert sweep.f1.max() == 1


def test_equal_scores_come_and_go_together() -> None:
    sweep = sweep_scores([truth(SQUARE)], [found((SQUARE, 0.5), (LOST, 0.5))])
    assert (sweep.thresholds.tolist(), sweep.precision.tolist()) == ([0.5], [0.5])


def test_an_object_is_found_once_and_crowds_are_not_judged() -> None:
    assert sweep_scores([truth(SQUARE)], [found((SQUARE, 0.9), (SQUARE, 0.8))]).precision.tolist() == [1, 0.5]
    sweep = sweep_scores([truth((0.0, 0.0, 100.0, 100.0), crowd=True)], [found((SQUARE, 0.9), (FAR, 0.8))])
    assert len(sweep.thresholds) == 0
    assert sweep.best(0.25) == 0.25


def test_nothing_found_falls_back() -> None:
    assert sweep_scores([truth(SQUARE)], [found()]).best(0.25) == 0.25
    assert sweep_scores([truth(SQUARE)], [found((LOST, 0.9))]).best(0.25) == 0.25


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_finds_what_coco_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 100, (3, 5, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(15, 60, (3, 5, 2))], axis=2)
    ids = rng.integers(0, 2, (3, 5))
    truths = [Annotation(b.astype(np.float32), i, rng.random(5) < 0.2) for b, i in zip(boxes, ids, strict=True)]
    guesses = [Boxes(b + rng.normal(0, 2, b.shape), rng.random(5), i) for b, i in zip(boxes, ids, strict=True)]
    result = judge(truths, [(200, 200)] * 3, guesses, ("a",))
    only = [Boxes(*(column[g.class_ids == 0] for column in g)) for g in guesses]
    ours = sweep_scores(
        [
            Annotation(t.boxes[t.class_ids == 0], t.class_ids[t.class_ids == 0], t.crowd[t.class_ids == 0])
            for t in truths
        ],
        only,
    )
    curve = result.precision[0, :, 0]
    if (curve < 0).any():
        return
    reached = float(ours.recall.max(initial=0.0))
    at = np.linspace(0, 1, 101)
    assert (curve[at > reached + 1e-9] == 0).all()
    for recall in at[at <= reached - 1e-9]:
        if np.abs(ours.recall - recall).min() > 1e-9:  # else rounding decides
            assert curve[round(recall * 100)] == pytest.approx(ours.precision[ours.recall >= recall].max())
