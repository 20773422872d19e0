"""How far two answers of a detector are apart: by partner, not by rank, and never much for a hair of rounding."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.detection import Detection, DetectionSpec, SuppressionInside
from tasks.image import ImageSpec
from tasks.nms import rank_candidates, suppress

SPEC = DetectionSpec(labels=("ant", "bee", "cat"), image=ImageSpec(height=96, width=128))
INSIDE = SuppressionInside(score_threshold=0.1, iou_threshold=0.5, max_detections=20)
TASK = Detection(SPEC)
TASK_INSIDE = Detection(msgspec.structs.replace(SPEC, inside=INSIDE, max_detections=20))
HAIR = 1e-4


def all_candidates(seed: int, count: int = 60) -> dict[str, np.ndarray]:
    """Everything a detector saw, many boxes on the same few objects."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(10, 90, (6, 2))[rng.integers(0, 6, count)] + rng.normal(0, 1.5, (count, 2))
    sides = rng.uniform(10, 40, (count, 2))
    return {
        "boxes": np.hstack([centres - sides / 2, centres + sides / 2]).astype(np.float32),
        "scores": (rng.random((count, 3)) ** 3).astype(np.float32),
    }


def top(seen: dict[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    """What a graph lets out: the best by their best score."""
    best = np.argsort(-seen["scores"].max(axis=1), kind="stable")[:count]
    return {"boxes": seen["boxes"][best], "scores": seen["scores"][best], "embedding": np.ones(4, np.float32)}


def kept(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    ranked = rank_candidates(outputs["boxes"], outputs["scores"], INSIDE.score_threshold)
    found = suppress(ranked, "class_aware", INSIDE.iou_threshold, INSIDE.score_threshold, INSIDE.max_detections)
    missing = INSIDE.max_detections - len(found.scores)
    return {
        "kept_boxes": np.pad(found.boxes, ((0, missing), (0, 0))),
        "kept_scores": np.pad(found.scores, (0, missing)),
        "kept_class_ids": np.pad(found.class_ids, (0, missing)),
        "num_kept": np.array(len(found.scores)),
        "embedding": np.ones(4, np.float32),
    }


def with_scores(outputs: dict[str, np.ndarray], where: tuple, score: float | np.ndarray) -> dict[str, np.ndarray]:
    scores = outputs["scores"].copy()
    scores[where] = score
    return outputs | {"scores": scores}


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(5, 60), st.integers(0, 10**6))
def test_a_hair_of_rounding_in_any_order_stays_a_hair(seed, count, other_seed):
    seen, rng = all_candidates(seed), np.random.default_rng(other_seed)
    rounded = {name: array + rng.uniform(-HAIR, HAIR, array.shape).astype(np.float32) for name, array in seen.items()}
    order = rng.permutation(count)
    shuffled = {name: array if name == "embedding" else array[order] for name, array in top(rounded, count).items()}
    difference = TASK.differences(top(seen, count), shuffled)
    assert difference.keys() == shuffled.keys()
    assert max(difference.values()) <= 3 * HAIR


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.floats(2, 30), st.floats(0.1, 0.4))
def test_the_same_model_with_suppression_inside_is_no_distance_away(seed, shift, drop):
    expected = top(all_candidates(seed), 60)
    actual = kept(expected)
    assert TASK_INSIDE.differences(expected, actual) == dict.fromkeys(actual, 0.0)
    moved = TASK_INSIDE.differences(expected, actual | {"kept_boxes": actual["kept_boxes"] + np.float32(shift + 200)})
    assert moved["kept_boxes"] > 100
    assert TASK_INSIDE.differences(actual, actual) == dict.fromkeys(actual, 0.0)


@given(st.integers(0, 58), st.integers(0, 3), st.floats(1, 400))
def test_a_corner_that_moved_shows_by_how_many_pixels(row, side, pixels):
    expected = top(all_candidates(5), 60)
    boxes = np.repeat(np.arange(60, dtype=np.float32) * 1000, 4).reshape(60, 4)  # no other partner is near
    scores = np.maximum(expected["scores"], 0.5)
    scores[59] = 0.1  # the one that just made it
    moved = boxes.copy()
    moved[row, side] += np.float32(pixels)
    expected, actual = ({"boxes": b, "scores": scores} for b in (boxes, moved))
    difference = TASK.differences(expected, actual)
    assert difference == {"boxes": pytest.approx(pixels, abs=0.01), "scores": 0.0}
    assert TASK.differences(actual, expected) == difference


@pytest.mark.parametrize("where", [(0, 0), (0, 1), (3, 2)])
def test_a_score_that_moved_shows_by_how_much_in_either_direction(where):
    expected = with_scores(top(all_candidates(5), 60), where, 0.9)
    actual = with_scores(expected, where, 0.6)
    for difference in (TASK.differences(expected, actual), TASK.differences(actual, expected)):
        assert difference["scores"] == pytest.approx(0.3, abs=0.05)


def test_boxes_that_coincide_are_told_apart_by_their_scores():
    whole = np.tile(np.array([0, 0, 128, 96], np.float32), (3, 1))
    scores = np.array([[0.9, 0, 0], [0.6, 0, 0], [0.0, 0.7, 0]], np.float32)
    expected = {"boxes": whole, "scores": scores}
    assert TASK.differences(expected, {"boxes": whole, "scores": scores[::-1]}) == {"boxes": 0.0, "scores": 0.0}


def test_an_object_that_only_one_side_found_is_far():
    expected = {"boxes": np.zeros((2, 4), np.float32), "scores": np.zeros((2, 3), np.float32)}
    actual = with_scores(expected | {"boxes": np.full((2, 4), 50, np.float32)}, (0, 0), 0.9)
    assert TASK.differences(expected, actual)["scores"] == pytest.approx(0.9)
    assert TASK.differences(actual, expected)["scores"] == pytest.approx(0.9)


def test_a_kept_box_of_another_class_is_far():
    expected = top(all_candidates(5), 60)
    actual = kept(expected)
    wrong = actual | {"kept_class_ids": np.roll(actual["kept_class_ids"], 1)}
    difference = TASK_INSIDE.differences(actual, wrong)
    assert max(difference["kept_scores"], difference["kept_boxes"] / 128) > 0.1


def test_nothing_found_by_either_is_no_difference_and_by_one_alone_is_infinite():
    some, none = kept(top(all_candidates(5), 60)), kept({"boxes": np.zeros((1, 4)), "scores": np.zeros((1, 3))})
    assert TASK_INSIDE.differences(none, none) == dict.fromkeys(none, 0.0)
    for expected, actual in ((some, none), (none, some)):
        assert TASK_INSIDE.differences(expected, actual)["kept_boxes"] == math.inf


def test_candidates_that_just_missed_the_top_are_not_missed():
    """The weakest of a top-K change places with those outside; neither side has to know them."""
    seen = all_candidates(9)
    best = seen["scores"].max(axis=1)
    weakest, next_best = np.argsort(-best, kind="stable")[39:41]
    lowered = with_scores(
        seen, (weakest, slice(None)), seen["scores"][weakest] * best[next_best] / best[weakest] * 0.99
    )
    expected, actual = top(seen, 40), top(lowered, 40)
    assert not np.isin(seen["boxes"][weakest], actual["boxes"]).all()
    assert TASK.differences(expected, actual) == dict.fromkeys(expected, 0.0)
    assert TASK.differences(actual, expected) == dict.fromkeys(expected, 0.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["boxes", "scores", "embedding"])
def test_what_is_no_number_is_infinitely_far(name, bad):
    good = top(all_candidates(5), 60)
    broken = good | {name: good[name].copy()}
    broken[name].flat[0] = bad
    assert TASK.differences(good, broken)[name] == math.inf
    assert TASK.differences(broken, good)[name] == math.inf


@pytest.mark.parametrize("name", ["boxes", "scores", "embedding"])
def test_another_shape_is_infinitely_far(name):
    good = top(all_candidates(5), 60)
    assert TASK.differences(good, good | {name: good[name][:-1]})[name] == math.inf


def test_another_number_of_candidates_is_infinitely_far():
    seen = all_candidates(5)
    assert TASK.differences(top(seen, 60), top(seen, 59))["boxes"] == math.inf


def test_kept_boxes_are_no_reference_for_candidates():
    candidates = top(all_candidates(5), 60)
    assert TASK_INSIDE.differences(kept(candidates), candidates)["boxes"] == math.inf


def test_an_output_that_is_new_is_infinitely_far():
    good = top(all_candidates(5), 60)
    assert TASK.differences(good, good | {"extra": np.zeros(3)}) == dict.fromkeys(good, 0.0) | {"extra": math.inf}


def test_kept_numbers_that_make_no_sense_are_infinitely_far():
    expected = top(all_candidates(5), 60)
    actual = kept(expected)
    for broken in ({"num_kept": np.array(21)}, {"kept_class_ids": np.full(20, 3)}):
        difference = TASK_INSIDE.differences(expected, actual | broken)
        assert difference == dict.fromkeys(actual, math.inf) | {"embedding": 0.0}
