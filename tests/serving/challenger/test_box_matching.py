from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.challenger.box_matching import matched_share, num_matched
from tasks.detection import DetectedObject

SIDES = st.floats(1, 50)
PLACES = st.floats(0, 50)


def found(label: str, left: float, top: float, width: float = 10, height: float = 10) -> DetectedObject:
    return DetectedObject(label, 0, 0.9, (left, top, left + width, top + height))


OBJECTS = st.lists(st.builds(found, st.sampled_from("ab"), PLACES, PLACES, SIDES, SIDES), max_size=8)


@given(OBJECTS)
def test_an_answer_agrees_with_itself_in_any_order(objects: list[DetectedObject]) -> None:
    assert matched_share(objects, objects[::-1]) == 1.0


@given(OBJECTS, OBJECTS)
def test_it_is_a_share_and_does_not_matter_who_is_asked_first(
    one: list[DetectedObject], other: list[DetectedObject]
) -> None:
    share = matched_share(one, other)
    assert 0 <= share <= 1
    assert share == pytest.approx(matched_share(other, one))
    assert num_matched(one, other) <= min(len(one), len(other))


@given(OBJECTS, OBJECTS)
def test_a_box_more_that_the_other_has_not_lowers_it(one: list[DetectedObject], other: list[DetectedObject]) -> None:
    alone = found("c", 0, 0)
    assert matched_share([*one, alone], other) < matched_share(one, other) or not num_matched(one, other)


def test_two_boxes_over_one_count_once() -> None:
    assert num_matched([found("a", 0, 0), found("a", 1, 0)], [found("a", 0, 0)]) == 1
    assert matched_share([found("a", 0, 0), found("a", 1, 0)], [found("a", 0, 0)]) == pytest.approx(2 / 3)


def test_another_label_or_too_little_overlap_is_no_partner() -> None:
    assert matched_share([found("a", 0, 0)], [found("b", 0, 0)]) == 0
    assert matched_share([found("a", 0, 0)], [found("a", 4, 0)]) == 0  # 60 / 140
    assert matched_share([found("a", 0, 0)], [found("a", 3, 0)]) == 1  # 70 / 130


def test_nothing_agrees_with_nothing_and_with_nothing_else() -> None:
    assert matched_share([], []) == 1
    assert matched_share([], [found("a", 0, 0)]) == 0
