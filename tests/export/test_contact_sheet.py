"""A sheet is a picture that a person can open and a package can carry, whatever is on it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from export.contact_sheet import MAX_BYTES, TEXT_SIZE, WORSE, Line, Tile, draw_sheet, font, wrap
from tests.handmade import encoded


def opened(sheet: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(sheet))
    assert picture.format == "PNG"
    return picture.convert("RGB")


def noise(seed: int) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (200, 160, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def test_every_tile_adds_to_the_sheet() -> None:
    tile = Tile((encoded(0, "JPEG"),), (Line("truth cat"), Line("after dog", WORSE)))
    few, many = opened(draw_sheet(["title"], [tile] * 2)), opened(draw_sheet(["title"], [tile] * 20))
    assert many.width == few.width
    assert many.height > 2 * few.height


def test_harm_stands_out_in_red() -> None:
    sheet = opened(draw_sheet([], [Tile((noise(0),), (Line("after dog", WORSE),))]))
    pixels = np.asarray(sheet, int).reshape(-1, 3)
    assert np.abs(pixels - np.array(WORSE)).sum(axis=1).min() < 60


def test_sheet_of_noise_shows_fewer_tiles_and_stays_small() -> None:
    tiles = [Tile((noise(seed), noise(seed + 100), noise(seed + 200)), (Line("noise"),)) for seed in range(10)]
    sheet = draw_sheet(["noise"], tiles)
    assert MAX_BYTES / 4 < len(sheet) <= MAX_BYTES


@settings(deadline=None, max_examples=30)
@given(st.text(max_size=200), st.integers(60, 300))
def test_lines_fit_whatever_the_words_are(text: str, width: int) -> None:
    assert all(font(TEXT_SIZE).getlength(line) <= width for line in wrap(text, width))


@pytest.mark.parametrize("text", ["", "3×Käse → 中文", "\n\t"])
def test_any_label_can_stand_under_a_picture(text: str) -> None:
    assert opened(draw_sheet([text], [Tile((encoded(1, "PNG"),), (Line(text),))])).height > 100
