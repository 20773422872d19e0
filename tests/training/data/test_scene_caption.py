from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.scene_caption import describe_objects

BOXES = st.tuples(st.integers(0, 80), st.integers(0, 80), st.integers(5, 20), st.integers(5, 20))


def describe(*objects: tuple[str, int, int, int]) -> str:
    """Objects as label, centre x, centre y, height, in a picture of 90 × 90."""
    boxes = [(x - 5, y - height / 2, x + 5, y + height / 2) for _, x, y, height in objects]
    return describe_objects([label for label, *_ in objects], np.array(boxes, np.float32), 90, 90)


@pytest.mark.parametrize(
    ("objects", "caption"),
    [
        ([("8", 45, 45, 20)], "one digit: an 8 in the middle"),
        (
            [("8", 45, 45, 30), ("3", 10, 10, 20)],
            "two digits: a 3 at the top left and an 8 in the middle; the 8 is larger",
        ),
        ([("8", 45, 45, 21), ("3", 10, 80, 20)], "two digits: an 8 in the middle and a 3 at the bottom left"),
        (
            [("1", 80, 45, 30), ("1", 10, 45, 10), ("2", 45, 80, 20)],
            "three digits: a 1 at the left, a 1 at the right and a 2 at the bottom; "
            "the one at the right is the largest",
        ),
    ],
)
def test_a_caption_says_how_many_what_where_and_which_is_larger(
    objects: list[tuple[str, int, int, int]], caption: str
) -> None:
    assert describe(*objects) == caption


@given(st.lists(st.tuples(st.sampled_from("0123456789"), BOXES), min_size=1, max_size=6, unique_by=lambda row: row[1]))
def test_the_order_of_the_objects_does_not_matter(objects: list[tuple[str, tuple[int, int, int, int]]]) -> None:
    def caption(rows: list[tuple[str, tuple[int, int, int, int]]]) -> str:
        boxes = np.array([(x, y, x + w, y + h) for _, (x, y, w, h) in rows], np.float32)
        return describe_objects([label for label, _ in rows], boxes, 100, 100)

    assert caption(objects) == caption(objects[::-1])
