"""The mask drawn over its picture: what is tinted, outlined, left alone, and how large it gets."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tasks.draw_mask import draw_mask
from tasks.errors import BadInput, TooLarge
from tasks.label_grid import NOT_SEEN
from tests.pictures import encode, exif

GREY = encode(Image.new("RGB", (120, 80), (100, 100, 100)))
PLENTY = 10**6


def drawn(mask, payload=GREY, plain_label=0):
    media_type, content = draw_mask(payload, mask, plain_label, PLENTY)
    assert media_type == "image/jpeg"
    return np.asarray(Image.open(io.BytesIO(content))).astype(int)


def test_regions_are_tinted_in_their_colour_and_the_background_is_left_alone():
    mask = np.zeros((80, 120), np.uint8)
    mask[:, 40:80], mask[:, 80:] = 1, 2
    picture = drawn(mask)
    np.testing.assert_allclose(picture[20:60, 4:36], 100, atol=12)
    np.testing.assert_allclose(picture[40, 60], (114, 50, 50), atol=12)
    np.testing.assert_allclose(picture[40, 100], (50, 114, 50), atol=12)


def test_regions_are_outlined():
    mask = np.zeros((80, 120), np.uint8)
    mask[:, 60:] = 1
    line = drawn(mask)[:, 56:64].max(axis=1)
    assert (line > 170).all()


def test_without_a_background_every_label_is_tinted():
    np.testing.assert_allclose(drawn(np.zeros((80, 120), np.uint8), plain_label=None), 50, atol=4)


def test_what_was_not_seen_is_dark():
    mask = np.zeros((80, 120), np.uint8)
    mask[:, :60] = NOT_SEEN
    np.testing.assert_allclose(drawn(mask)[:, :50], 50, atol=12)


def test_a_turned_picture_is_drawn_upright():
    picture = Image.new("RGB", (120, 80), (100, 100, 100))
    mask = np.zeros((120, 80), np.uint8)
    mask[:40] = 1
    upright = drawn(mask, encode(picture, "JPEG", exif=exif(6)))
    assert upright.shape == (120, 80, 3)
    np.testing.assert_allclose(upright[10, 40], (114, 50, 50), atol=12)
    np.testing.assert_allclose(upright[100, 40], 100, atol=12)


def test_a_large_picture_is_drawn_smaller_with_its_mask_in_place():
    mask = np.zeros((40, 5000), np.uint8)
    mask[:, 2500:] = 1
    picture = drawn(mask, encode(Image.new("RGB", (5000, 40), (100, 100, 100))))
    assert picture.shape == (16, 2048, 3)
    np.testing.assert_allclose(picture[8, 900], 100, atol=12)
    np.testing.assert_allclose(picture[8, 1200], (114, 50, 50), atol=12)


def test_pictures_that_can_not_be_read_are_refused():
    with pytest.raises(BadInput):
        draw_mask(b"nothing", np.zeros((1, 1), np.uint8), None, PLENTY)
    with pytest.raises(TooLarge):
        draw_mask(GREY, np.zeros((80, 120), np.uint8), None, 100)
