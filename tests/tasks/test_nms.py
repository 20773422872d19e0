"""Suppression against a plain double loop and against ONNX Runtime's own operator, ties and odd boxes included."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from tasks.nms import SOFT_SIGMA, RankedBoxes, rank_boxes, rank_candidates, suppress

# A coarse grid: boxes that coincide, touch, are empty or turned over, and overlaps that are exactly at the threshold.
grid_boxes = st.tuples(*[st.integers(-2, 6).map(float)] * 4)
loose_boxes = st.tuples(*[st.floats(-50, 200, width=32)] * 4)
coarse_scores = st.integers(0, 8).map(lambda eighths: eighths / 8)
fine_scores = st.floats(0, 1, width=32)
thresholds = st.sampled_from([0.0, 0.125, 0.25, 1 / 3, 0.5, 0.75, 1.0])
limits = st.sampled_from([1, 2, 5, 300])


def rows(boxes, scores, num_classes: int):
    """Rows of a detector: a box, and a score for every class."""
    return st.lists(st.tuples(boxes, st.tuples(*[scores] * num_classes)), max_size=24)


def arrays(found: Sequence, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    boxes = np.array([box for box, _ in found], np.float32).reshape(-1, 4)
    return boxes, np.array([scores for _, scores in found], np.float32).reshape(-1, num_classes)


def plain_iou(a: np.ndarray, b: np.ndarray) -> np.float32:
    """Two boxes in any corner order; float32 throughout, as the operator is defined."""
    sides = [
        min(max(a[i], a[i + 2]), max(b[i], b[i + 2])) - max(min(a[i], a[i + 2]), min(b[i], b[i + 2])) for i in (0, 1)
    ]
    if min(sides) <= 0:
        return np.float32(0)
    areas = [abs(box[2] - box[0]) * abs(box[3] - box[1]) for box in (a, b)]
    shared = sides[0] * sides[1]
    return shared / (areas[0] + areas[1] - shared)


def plain_pairs(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[tuple[np.float32, int, int]]:
    """Every (score, class, candidate) above the threshold, best first, ties by class and then by candidate."""
    found = [
        (scores[k, c], c, k)
        for c in range(scores.shape[1])
        for k in range(len(boxes))
        if scores[k, c] > np.float32(threshold)
    ]
    return sorted(found, key=lambda pair: (-pair[0], pair[1], pair[2]))


def plain_hard(
    boxes: np.ndarray, scores: np.ndarray, class_aware: bool, iou: float, threshold: float, limit: int
) -> list[tuple[float, int, tuple[float, ...]]]:
    kept: list[tuple[np.float32, int, int]] = []
    for score, class_id, k in plain_pairs(boxes, scores, threshold):
        rivals = [other for _, other_class, other in kept if other_class == class_id or not class_aware]
        if all(plain_iou(boxes[k], boxes[other]) <= np.float32(iou) for other in rivals):
            kept.append((score, class_id, k))
    return [(float(score), class_id, tuple(boxes[k].tolist())) for score, class_id, k in kept[:limit]]


def plain_soft(
    boxes: np.ndarray, scores: np.ndarray, threshold: float, limit: int
) -> list[tuple[float, int, tuple[float, ...]]]:
    """Figure 2 of the paper, Gaussian form."""
    waiting = [[float(score), class_id, k] for score, class_id, k in plain_pairs(boxes, scores, threshold)]
    kept = []
    while waiting and len(kept) < limit:
        best = max(waiting, key=lambda pair: pair[0])  # the first of equals
        waiting.remove(best)
        if not best[0] > threshold:
            break
        kept.append((best[0], best[1], tuple(boxes[best[2]].tolist())))
        for other in waiting:
            if other[1] == best[1]:
                other[0] *= math.exp(-(float(plain_iou(boxes[best[2]], boxes[other[2]])) ** 2) / SOFT_SIGMA)
    return kept


def listed(found: RankedBoxes) -> list[tuple[float, int, tuple[float, ...]]]:
    return [
        (score, class_id, tuple(box)) for box, score, class_id in zip(*(array.tolist() for array in found), strict=True)
    ]


@pytest.fixture(scope="module")
def operator() -> ort.InferenceSession:
    """A graph of nothing but NonMaxSuppression."""
    inputs = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, "k", 4]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, "c", "k"]),
        helper.make_tensor_value_info("limit", TensorProto.INT64, [1]),
        helper.make_tensor_value_info("iou", TensorProto.FLOAT, [1]),
        helper.make_tensor_value_info("threshold", TensorProto.FLOAT, [1]),
    ]
    output = helper.make_tensor_value_info("selected", TensorProto.INT64, ["n", 3])
    node = helper.make_node("NonMaxSuppression", [i.name for i in inputs], ["selected"])
    model = helper.make_model(
        helper.make_graph([node], "nms", inputs, [output]), opset_imports=[helper.make_opsetid("", 20)], ir_version=10
    )
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def by_operator(
    operator: ort.InferenceSession, boxes: np.ndarray, scores: np.ndarray, iou: float, threshold: float, limit: int
) -> list[tuple[float, int, tuple[float, ...]]]:
    """The operator class by class, then the best over all classes, as a graph with suppression inside does it."""
    feeds = {
        "boxes": boxes[np.newaxis],
        "scores": np.ascontiguousarray(scores.T[np.newaxis]),
        "limit": np.array([limit], np.int64),
        "iou": np.array([iou], np.float32),
        "threshold": np.array([threshold], np.float32),
    }
    _, classes, indices = operator.run(None, feeds)[0].T
    found = scores[indices, classes]
    order = np.argsort(-found, kind="stable")[:limit]
    return listed(RankedBoxes(boxes[indices[order]], found[order], classes[order]))


@given(rows(grid_boxes, coarse_scores, 3) | rows(loose_boxes, fine_scores, 3), thresholds, thresholds, limits)
def test_class_aware_suppression_is_that_of_the_onnx_operator(operator, found, iou, threshold, limit):
    if not found:
        return  # the operator takes no empty input
    boxes, scores = arrays(found, 3)
    ours = suppress(rank_candidates(boxes, scores, threshold), "class_aware", iou, threshold, limit)
    assert listed(ours) == by_operator(operator, boxes, scores, iou, threshold, limit)


@pytest.mark.parametrize("seed", range(4))
def test_class_aware_suppression_is_that_of_the_onnx_operator_on_crowded_pictures(operator, seed):
    """Many blocks of candidates, clustered, scores in steps of an 8-bit graph (so with many ties), huge offsets."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, 640, (12, 2))[rng.integers(0, 12, 900)] + rng.normal(0, 8, (900, 2)) + 1e5 * (seed % 2)
    sides = rng.uniform(20, 120, (900, 2))
    boxes = np.hstack([centres - sides / 2, centres + sides / 2]).astype(np.float32)
    scores = (rng.integers(0, 256, (900, 5)) / np.float32(255)).astype(np.float32)
    for iou, threshold, limit in [(0.5, 0.25, 100), (0.7, 0.01, 300), (0.3, 0.9, 20)]:
        ours = suppress(rank_candidates(boxes, scores, threshold), "class_aware", iou, threshold, limit)
        assert listed(ours) == by_operator(operator, boxes, scores, iou, threshold, limit)


@given(
    rows(grid_boxes, coarse_scores, 3) | rows(loose_boxes, fine_scores, 3),
    st.sampled_from(["class_aware", "class_agnostic"]),
    thresholds,
    thresholds,
    limits,
)
def test_hard_suppression_is_that_of_a_plain_double_loop(found, suppression, iou, threshold, limit):
    boxes, scores = arrays(found, 3)
    ours = suppress(rank_candidates(boxes, scores, threshold), suppression, iou, threshold, limit)
    assert listed(ours) == plain_hard(boxes, scores, suppression == "class_aware", iou, threshold, limit)


@given(rows(loose_boxes, fine_scores, 2), st.sampled_from([0.01, 0.25, 0.5]), limits)
def test_soft_suppression_is_that_of_a_plain_loop(found, threshold, limit):
    boxes, scores = arrays(found, 2)
    ours = listed(suppress(rank_candidates(boxes, scores, threshold), "soft", 0.5, threshold, limit))
    plain = plain_soft(boxes, scores, threshold, limit)
    assert [class_id for _, class_id, _ in ours] == [class_id for _, class_id, _ in plain]
    assert [box for _, _, box in ours] == [box for _, _, box in plain]
    assert [score for score, _, _ in ours] == pytest.approx([score for score, _, _ in plain], rel=1e-5)


def test_soft_suppression_lowers_a_neighbour_of_the_class_and_spares_other_classes():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 9]], np.float32)
    ranked = rank_boxes(boxes, np.array([0.9, 0.8, 0.7]), np.array([0, 0, 1]), 0.1)
    found = listed(suppress(ranked, "soft", 0.5, 0.1, 10))
    assert [(class_id, box[3]) for _, class_id, box in found] == [(0, 10.0), (1, 9.0), (0, 8.0)]
    assert [score for score, _, _ in found] == pytest.approx([0.9, 0.7, 0.8 * math.exp(-(0.8**2) / SOFT_SIGMA)])


@given(rows(loose_boxes, fine_scores, 2), st.floats(0, 1, width=32), limits)
def test_without_suppression_the_best_pairs_are_listed(found, threshold, limit):
    boxes, scores = arrays(found, 2)
    ours = suppress(rank_candidates(boxes, scores, threshold), "none", 0.0, threshold, limit)
    expected = [(float(s), c, tuple(boxes[k].tolist())) for s, c, k in plain_pairs(boxes, scores, threshold)[:limit]]
    assert listed(ours) == expected


@settings(max_examples=40)
@given(st.permutations(range(12)), st.sampled_from(["class_aware", "class_agnostic", "soft", "none"]))
def test_without_ties_the_order_of_the_candidates_does_not_matter(order, suppression):
    rng = np.random.default_rng(7)
    boxes = np.sort(rng.uniform(0, 30, (12, 2, 2)), axis=1).reshape(12, 4).astype(np.float32)
    scores = rng.permutation(24).reshape(12, 2).astype(np.float32) / 24
    shuffled = list(order)
    straight, mixed = (
        listed(suppress(rank_candidates(b, s, 0.1), suppression, 0.3, 0.1, 20))
        for b, s in [(boxes, scores), (boxes[shuffled], scores[shuffled])]
    )
    assert straight == mixed


def test_of_two_equal_boxes_the_first_stays():
    boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 5], [20, 20, 24, 24]], np.float32)
    ranked = rank_boxes(boxes, np.full(3, 0.5), np.array([1, 1, 0]), 0.25)
    assert listed(suppress(ranked, "class_aware", 0.5, 0.25, 9)) == [
        (0.5, 1, (0, 0, 4, 4)),
        (0.5, 0, (20, 20, 24, 24)),
    ]


def test_of_equal_pairs_the_lower_class_comes_first_and_then_the_lower_candidate():
    boxes = np.array([[0, 0, 1, 1], [5, 5, 6, 6]], np.float32)
    found = listed(rank_candidates(boxes, np.full((2, 2), 0.5), 0.25))
    assert [(class_id, box[0]) for _, class_id, box in found] == [(0, 0.0), (0, 5.0), (1, 0.0), (1, 5.0)]


def test_a_score_at_the_threshold_is_out_and_an_overlap_at_the_threshold_is_in():
    boxes = np.array([[0, 0, 2, 2], [0, 0, 2, 1], [9, 9, 10, 10]], np.float32)
    ranked = rank_boxes(boxes, np.array([0.9, 0.8, 0.25]), np.zeros(3), 0.25)
    assert [score for score, _, _ in listed(suppress(ranked, "class_aware", 0.5, 0.25, 9))] == pytest.approx([0.9, 0.8])


def test_boxes_without_area_neither_suppress_nor_are_suppressed():
    boxes = np.array([[1, 1, 1, 5], [1, 1, 1, 5], [0, 0, 6, 6], [2, 2, 2, 2]], np.float32)
    ranked = rank_boxes(boxes, np.array([0.9, 0.8, 0.7, 0.6]), np.zeros(4), 0.1)
    assert len(suppress(ranked, "class_aware", 0.0, 0.1, 9).scores) == 4


def test_boxes_far_outside_the_picture_are_judged_like_any_other():
    boxes = np.array([[-900, -900, -880, -880], [-900, -900, -880, -881], [1e6, 0, 1e6 + 64, 64]], np.float32)
    ranked = rank_boxes(boxes, np.array([0.9, 0.8, 0.7]), np.zeros(3), 0.1)
    assert [box[0] for _, _, box in listed(suppress(ranked, "class_aware", 0.5, 0.1, 9))] == [-900.0, 1e6]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("suppression", ["class_aware", "class_agnostic", "soft", "none"])
@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_never_kept(odd, suppression):
    boxes = np.tile(np.array([0, 0, 8, 8], np.float32), (6, 1))
    boxes[np.arange(4), np.arange(4)] = odd
    scores = np.array([0.9, 0.9, 0.9, 0.9, odd, 0.5], np.float32)
    kept = suppress(rank_candidates(boxes, scores[:, np.newaxis], 0.1), suppression, 0.5, 0.1, 9)
    assert listed(kept) == [(0.5, 0, (0, 0, 8, 8))]


@pytest.mark.filterwarnings("error")
def test_boxes_too_large_for_their_area_to_be_a_number_do_no_harm():
    boxes = np.array([[-3e38, -3e38, 3e38, 3e38], [-3e38, -3e38, 3e38, 3e38], [0, 0, 1, 1]], np.float32)
    ranked = rank_boxes(boxes, np.array([0.9, 0.8, 0.7]), np.zeros(3), 0.1)
    for suppression in ("class_aware", "soft"):
        assert len(suppress(ranked, suppression, 0.5, 0.1, 9).scores) == 3


@pytest.mark.parametrize("suppression", ["class_aware", "class_agnostic", "soft", "none"])
def test_of_nothing_nothing_is_left(suppression):
    empty = rank_candidates(np.zeros((0, 4), np.float32), np.zeros((0, 3), np.float32), 0.1)
    below = rank_candidates(np.ones((5, 4), np.float32), np.zeros((5, 3), np.float32), 0.1)
    for ranked in (empty, below):
        kept = suppress(ranked, suppression, 0.5, 0.1, 9)
        assert (kept.boxes.shape, kept.scores.shape, kept.class_ids.shape) == ((0, 4), (0,), (0,))
