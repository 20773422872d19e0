"""What a detector's graph may answer: candidates or kept boxes, the same detections from both, and nothing broken."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.detection import DetectionSpec, SuppressionInside
from tasks.detection_outputs import surviving_boxes
from tasks.detection_spec import Thresholds
from tasks.errors import InvalidPackage
from tasks.image import ImageSpec
from tasks.nms import RankedBoxes, overlaps, rank_candidates, suppress, upright_corners

SPEC = DetectionSpec(labels=("ant", "bee", "cat"), image=ImageSpec(height=24, width=32))
INSIDE = SuppressionInside(score_threshold=0.125, iou_threshold=0.5, max_detections=12)
SPEC_INSIDE = msgspec.structs.replace(SPEC, inside=INSIDE, max_detections=12)

crowded = st.lists(
    st.tuples(
        st.tuples(*[st.integers(0, 6).map(float)] * 4) | st.tuples(*[st.floats(-5, 40, width=32)] * 4),
        st.tuples(*[st.integers(0, 16).map(lambda step: step / 16)] * 3),
    ),
    min_size=1,
    max_size=20,
)


def graph_of(found) -> dict[str, np.ndarray]:
    """The answer of a graph of candidates."""
    return {
        "boxes": np.array([box for box, _ in found], np.float32),
        "scores": np.array([scores for _, scores in found], np.float32),
    }


def suppressing(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The answer of the same graph with suppression inside, padded with zeros."""
    ranked = rank_candidates(outputs["boxes"], outputs["scores"], INSIDE.score_threshold)
    limit = INSIDE.max_detections
    kept = suppress(ranked, "class_aware", INSIDE.iou_threshold, INSIDE.score_threshold, limit)
    missing = limit - len(kept.scores)
    return {
        "kept_boxes": np.pad(kept.boxes, ((0, missing), (0, 0))),
        "kept_scores": np.pad(kept.scores, (0, missing)),
        "kept_class_ids": np.pad(kept.class_ids, (0, missing)),
        "num_kept": np.array(len(kept.scores)),
    }


def listed(found: RankedBoxes) -> list[tuple[float, int, tuple[float, ...]]]:
    return [(score, class_id, tuple(box)) for box, score, class_id in zip(*(a.tolist() for a in found), strict=True)]


@given(crowded, st.sampled_from([0.125, 0.25, 0.5, 0.9]), st.sampled_from([1, 3, 12]))
def test_a_higher_threshold_or_fewer_boxes_give_the_same_from_both_kinds_of_graph(found, score_threshold, limit):
    outputs = graph_of(found)
    asked = Thresholds(score_threshold, INSIDE.iou_threshold, limit, "class_aware")
    outside = listed(surviving_boxes(outputs, SPEC, asked))
    assert listed(surviving_boxes(suppressing(outputs), SPEC_INSIDE, asked)) == outside


@given(crowded, st.sampled_from([0.0, 0.2, 0.4]))
def test_a_lower_overlap_threshold_is_obeyed_by_boxes_that_the_graph_kept(found, iou_threshold):
    outputs = suppressing(graph_of(found))
    everything = Thresholds(INSIDE.score_threshold, INSIDE.iou_threshold, 12, "class_aware")
    left = surviving_boxes(outputs, SPEC_INSIDE, everything._replace(iou_threshold=iou_threshold))
    assert set(listed(left)) <= set(listed(surviving_boxes(outputs, SPEC_INSIDE, everything)))
    corners = upright_corners(left.boxes)
    rivals = (left.class_ids[:, np.newaxis] == left.class_ids) & ~np.eye(len(left.scores), dtype=bool)
    assert not (rivals & (overlaps(corners, corners) > iou_threshold)).any()


def test_a_box_dropped_by_the_graph_does_not_come_back_when_its_rival_goes():
    """The middle box drops the last one inside the graph, and falls itself to the first by the stricter request."""
    row = [((0, 0, 10, 10), (0.9, 0, 0)), ((4, 0, 14, 10), (0.8, 0, 0)), ((7, 0, 17, 10), (0.7, 0, 0))]
    asked = Thresholds(0.25, 0.3, 12, "class_aware")
    assert [score for score, _, _ in listed(surviving_boxes(graph_of(row), SPEC, asked))] == pytest.approx([0.9, 0.7])
    inside = surviving_boxes(suppressing(graph_of(row)), SPEC_INSIDE, asked)
    assert [score for score, _, _ in listed(inside)] == pytest.approx([0.9])


def test_padding_is_no_detection():
    outputs = suppressing(graph_of([((0, 0, 10, 10), (0.9, 0, 0))]))
    outputs["kept_scores"][1:] = 0.7  # whatever a graph leaves there
    assert len(surviving_boxes(outputs, SPEC_INSIDE, Thresholds(0.2, 0.5, 12, "class_aware")).scores) == 1


def test_candidates_are_understood_with_a_spec_of_suppression_inside():
    outputs = graph_of([((0, 0, 10, 10), (0.9, 0, 0.5))])
    asked = Thresholds(0.25, 0.5, 12, "class_aware")
    assert listed(surviving_boxes(outputs, SPEC_INSIDE, asked)) == listed(surviving_boxes(outputs, SPEC, asked))


GOOD = graph_of([((0, 0, 10, 10), (0.9, 0.1, 0)), ((5, 5, 9, 9), (0.2, 0.8, 0))])
GOOD_KEPT = suppressing(GOOD)


@pytest.mark.parametrize(
    "broken",
    [
        {"boxes": np.zeros((2, 5))},
        {"boxes": np.zeros((3, 4))},
        {"boxes": np.zeros(8)},
        {"scores": np.zeros((2, 4))},
        {"scores": np.zeros((1, 3))},
        {"scores": np.zeros(2)},
        {"scores": np.full((2, 3), np.nan)},
        {"boxes": np.full((2, 4), np.inf)},
    ],
)
def test_candidates_that_make_no_sense_are_the_models_fault(broken):
    with pytest.raises(InvalidPackage, match="roll back to another version"):
        surviving_boxes(GOOD | broken, SPEC, Thresholds(0.25, 0.5, 12, "class_aware"))


@pytest.mark.parametrize(
    "broken",
    [
        {"kept_boxes": np.zeros((12, 3))},
        {"kept_boxes": np.zeros((11, 4))},
        {"kept_scores": np.zeros((12, 1))},
        {"kept_scores": np.array(0.5)},
        {"kept_scores": np.full(12, np.nan)},
        {"kept_class_ids": np.zeros(13, np.int64)},
        {"kept_class_ids": np.full(12, 3)},
        {"kept_class_ids": np.full(12, -1)},
        {"num_kept": np.array(13)},
        {"num_kept": np.array(-1)},
        {"num_kept": np.array([1, 2])},
    ],
)
def test_kept_boxes_that_make_no_sense_are_the_models_fault(broken):
    with pytest.raises(InvalidPackage, match="roll back to another version"):
        surviving_boxes(GOOD_KEPT | broken, SPEC_INSIDE, Thresholds(0.25, 0.5, 12, "class_aware"))


def test_a_missing_output_is_named():
    with pytest.raises(InvalidPackage, match="no output 'scores', only boxes"):
        surviving_boxes({"boxes": GOOD["boxes"]}, SPEC, Thresholds(0.25, 0.5, 12, "class_aware"))


def test_kept_boxes_of_which_nobody_knows_by_which_thresholds_are_refused():
    with pytest.raises(InvalidPackage, match="'inside' is missing"):
        surviving_boxes(GOOD_KEPT, SPEC, Thresholds(0.25, 0.5, 12, "class_aware"))
