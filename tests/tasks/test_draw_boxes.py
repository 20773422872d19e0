"""Boxes on the caller's picture: where they belong, in the colour of their class, at any size."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tasks.detection import DetectedObject
from tasks.draw_boxes import class_colour, draw_boxes
from tasks.errors import BadInput, TooLarge
from tests.pictures import encode, exif, scene

MAX_PIXELS = 50_000_000


def drawn(payload: bytes, *found: DetectedObject) -> np.ndarray:
    picture = draw_boxes(payload, found, MAX_PIXELS)
    assert picture.media_type == "image/jpeg"
    return np.asarray(Image.open(io.BytesIO(picture.content)).convert("RGB")).astype(int)


def blank(width: int, height: int, **options: object) -> bytes:
    return encode(Image.new("RGB", (width, height), "white"), **options)


def an(label: str, box: tuple[float, float, float, float], class_id: int = 0) -> DetectedObject:
    return DetectedObject(label, class_id, 0.9, box)


def extent(pixels: np.ndarray) -> tuple[int, int, int, int]:
    """left, top, right, bottom of what is not white."""
    rows, columns = np.nonzero(pixels.min(axis=-1) < 160)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def test_a_box_is_drawn_where_it_is():
    left, _, right, bottom = extent(drawn(blank(400, 300), an("ant", (100, 80, 300, 200))))
    assert (left, right, bottom) == pytest.approx((100, 300, 200), abs=2)


def test_a_tag_names_the_object_and_keeps_within_the_picture():
    for box in [(0, 0, 40, 40), (360, 0, 400, 30), (370, 270, 400, 300), (0, 150, 3, 160)]:
        short, long = (drawn(blank(400, 300), an(label, box)) for label in ("i", "wwwwww"))
        assert np.abs(short - long).max() > 100
        left, top, right, bottom = extent(long)
        assert 0 <= left < right <= 400
        assert 0 <= top < bottom <= 300


def test_accents_that_the_font_lacks_are_left_out():
    accented, plain, other = (drawn(blank(99, 99), an(label, (20, 40, 60, 60))) for label in ("dög", "dog", "dug"))
    np.testing.assert_array_equal(accented, plain)
    assert (plain != other).any()


def test_a_class_has_its_own_colour_in_every_picture():
    colours = [class_colour(class_id) for class_id in range(20)]
    apart = [max(abs(a - b) for a, b in zip(x, y, strict=True)) for i, x in enumerate(colours) for y in colours[:i]]
    assert min(apart) > 15
    pixels = drawn(blank(400, 300), an("ant", (100, 80, 300, 200), class_id=3))
    assert np.abs(pixels[198:200, 150:250].mean(axis=(0, 1)) - class_colour(3)).max() < 40


def test_a_large_picture_is_shrunk_and_its_boxes_with_it():
    pixels = drawn(blank(4096, 1024), an("ant", (2048, 512, 4096, 1024)))
    assert pixels.shape == (512, 2048, 3)
    left, _, right, bottom = extent(pixels)
    assert (left, right, bottom) == pytest.approx((1024, 2048, 512), abs=4)


def test_lines_grow_with_the_picture():
    def line_width(side: int) -> int:
        pixels = drawn(blank(side, side), an("", (side // 4, side // 4, side // 2, side // 2)))
        return int((pixels[side * 3 // 8, : side * 3 // 8].min(axis=-1) < 160).sum())

    assert line_width(100) >= 2
    assert line_width(2000) >= 3 * line_width(100) - 2


def test_a_turned_picture_is_drawn_upright():
    payload = encode(scene(40, 90), "JPEG", exif=exif(6))
    assert drawn(payload).shape == (90, 40, 3)


def test_the_best_is_drawn_over_the_others():
    pixels = drawn(blank(400, 300), an("a", (100, 80, 300, 200), 3), an("b", (100, 80, 300, 200), 5))
    assert np.abs(pixels[198:200, 150:250].mean(axis=(0, 1)) - class_colour(3)).max() < 40


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.lists(st.tuples(*[st.floats(0, 1)] * 4, st.text(max_size=12), st.integers(0, 10**6)), max_size=4),
)
def test_any_box_and_any_label_can_be_drawn(width, height, found):
    objects = [
        an(label, (min(a, b) * width, min(c, d) * height, max(a, b) * width, max(c, d) * height), class_id)
        for a, b, c, d, label, class_id in found
    ]
    assert drawn(blank(width, height), *objects).shape == (height, width, 3)


def test_what_is_no_picture_or_too_large_is_refused():
    with pytest.raises(BadInput):
        draw_boxes(b"no picture", (), MAX_PIXELS)
    with pytest.raises(TooLarge):
        draw_boxes(blank(100, 100), (), 9_999)
