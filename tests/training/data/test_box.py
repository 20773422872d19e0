from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import BadInput
from training.data.box import EDGE_TOLERANCE, check_box

NUMBERS = st.floats(-200, 200) | st.sampled_from([float("nan"), float("inf"), float("-inf")])


@given(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), st.integers(1, 100), st.integers(1, 100))
def test_a_box_comes_out_inside_the_picture_or_not_at_all(
    edges: tuple[float, float, float, float], height: int, width: int
) -> None:
    try:
        box = check_box(edges, height, width)
    except BadInput:
        return
    assert 0 <= box.left < box.right <= width
    assert 0 <= box.top < box.bottom <= height
    assert max(abs(before - after) for before, after in zip(edges, box, strict=True)) <= EDGE_TOLERANCE


@given(st.data(), st.integers(1, 100), st.integers(1, 100))
def test_a_sound_box_is_left_alone(data: st.DataObject, height: int, width: int) -> None:
    left, right = sorted(data.draw(st.lists(st.integers(0, width), min_size=2, max_size=2, unique=True)))
    top, bottom = sorted(data.draw(st.lists(st.integers(0, height), min_size=2, max_size=2, unique=True)))
    assert check_box((left, top, right, bottom), height, width) == (left, top, right, bottom)


@pytest.mark.parametrize(
    ("edges", "complaint"),
    [
        ((5, 5, 5, 9), "no area"),
        ((5, 5, 4, 9), "no area.*-1"),
        ((float("nan"), 0, 1, 1), "finite"),
        ((5, 5, 12.5, 9), "outside the picture of 10×20 pixels by 2.5"),
        ((-0.5, 5, 0, 9), "outside"),
    ],
)
def test_a_broken_box_is_refused_saying_why(edges: tuple[float, float, float, float], complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        check_box(edges, height=20, width=10)
