"""A contact sheet: many small pictures with a few words under each, as one PNG that a person takes in at a glance."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from tasks.canvas import open_canvas
from tasks.draw_boxes import plain_letters
from tasks.image import MAX_PIXELS

MAX_TILES = 64
MAX_BYTES = 400_000
PANEL_COLOURS = 40
"""Of one small picture: a quarter of the bytes, and it loses nothing that matters."""
SHEET_WIDTH, GAP, MARGIN = 1120, 6, 14
LARGE, SMALL = 132, 96
"""Longer side of a small picture: where there is room, and where there are many."""
MANY_PANELS = 40
TEXT_SIZE, LINE_HEIGHT, TITLE_SIZE, TITLE_HEIGHT = 12, 15, 15, 20
MIN_ENLARGEMENT = 3
"""From which factor on a small picture is enlarged as it is, pixel by pixel."""
Colour = tuple[int, int, int]
PAPER: Colour = (255, 255, 255)
INK: Colour = (20, 20, 20)
FADED: Colour = (110, 110, 110)
WORSE: Colour = (190, 20, 30)
BETTER: Colour = (20, 120, 50)


@dataclass(frozen=True)
class Line:
    """Some words under a picture; long ones are wrapped."""

    text: str
    colour: Colour = INK


@dataclass(frozen=True)
class Tile:
    """One example. `panels`: encoded pictures side by side."""

    panels: tuple[bytes, ...]
    lines: tuple[Line, ...]


def draw_sheet(title: Sequence[str], tiles: Sequence[Tile]) -> bytes:
    """A PNG of at most `MAX_BYTES`, where that is possible: of photographs it shows fewer tiles, the first ones."""
    wanted = list(tiles[:MAX_TILES])
    while True:
        encoded = encode(draw_rows(title, wanted))
        if len(encoded) <= MAX_BYTES or len(wanted) <= 1:
            return encoded
        # What is over the limit is told by its size; a tenth more goes, because the first tiles may be the heavier.
        wanted = wanted[: max(1, int(len(wanted) * MAX_BYTES / len(encoded) * 0.9))]


def draw_rows(title: Sequence[str], tiles: Sequence[Tile]) -> Image.Image:
    """All tiles in rows under the title, each row as high as its highest tile."""
    side = LARGE if sum(len(tile.panels) for tile in tiles) < MANY_PANELS else SMALL
    width = max((len(tile.panels) for tile in tiles), default=1) * (side + GAP) - GAP
    per_row = max(1, (SHEET_WIDTH - 2 * MARGIN + 2 * GAP) // (width + 2 * GAP))
    drawn = [draw_tile(tile, width, side) for tile in tiles]
    rows = [drawn[start : start + per_row] for start in range(0, len(drawn), per_row)]
    heights = [max(each.height for each in row) + 2 * GAP for row in rows]
    top = MARGIN + TITLE_HEIGHT * len(title) + GAP
    sheet = Image.new("RGB", (max(SHEET_WIDTH, width + 2 * MARGIN), top + sum(heights) + MARGIN), PAPER)
    pen = ImageDraw.Draw(sheet)
    for place, text in enumerate(title):
        pen.text((MARGIN, MARGIN + place * TITLE_HEIGHT), printable(text), INK, font(TITLE_SIZE))
    for row, height in zip(rows, heights, strict=True):
        for column, each in enumerate(row):
            sheet.paste(each, (MARGIN + column * (width + 2 * GAP), top))
        top += height
    return sheet


def draw_tile(tile: Tile, width: int, side: int) -> Image.Image:
    """Panels of at most `side` pixels side by side, and the lines under them."""
    lines = [Line(part, line.colour) for line in tile.lines for part in wrap(printable(line.text), width)]
    drawn = Image.new("RGB", (width, side + GAP + LINE_HEIGHT * len(lines)), PAPER)
    pen = ImageDraw.Draw(drawn)
    for place, encoded in enumerate(tile.panels):
        panel = shrink(encoded, side)
        drawn.paste(panel, (place * (side + GAP) + (side - panel.width) // 2, side - panel.height))
    for place, line in enumerate(lines):
        pen.text((0, side + GAP // 2 + place * LINE_HEIGHT), line.text, line.colour, font(TEXT_SIZE))
    return drawn


def shrink(encoded: bytes, side: int) -> Image.Image:
    """Upright, the longer side of `side` pixels; a tiny picture shows its pixels."""
    whole, _ = open_canvas(encoded, MAX_PIXELS)
    factor = side / max(whole.size)
    size = (max(1, round(whole.width * factor)), max(1, round(whole.height * factor)))
    small = whole.resize(size, Image.Resampling.NEAREST if factor >= MIN_ENLARGEMENT else Image.Resampling.LANCZOS)
    return small.quantize(PANEL_COLOURS, dither=Image.Dither.NONE).convert("RGB")


def wrap(text: str, width: int) -> list[str]:
    """Lines of whole words that fit into `width` pixels; a word that does not is cut."""
    lines, room = [""], font(TEXT_SIZE)
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if room.getlength(longer) <= width:
            lines[-1] = longer
            continue
        while room.getlength(word) > width:
            word = word[:-1]
        lines.append(word)
    return [line for line in lines if line]


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def printable(text: str) -> str:
    """In letters that Pillow's own font has."""
    return plain_letters(text.replace("→", "to").replace("×", " x "))


def encode(sheet: Image.Image) -> bytes:
    """A PNG of 256 colours."""
    stream = io.BytesIO()
    sheet.quantize(256, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    return stream.getvalue()
