"""The picture that was asked about, with the objects found in it drawn on it."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import Protocol
from unicodedata import combining, normalize

from PIL import ImageDraw, ImageFont

from tasks.canvas import finished_drawing, open_canvas
from tasks.task import Picture

GOLDEN_RATIO = 0.618033988749895
Colour = tuple[int, int, int]


class DrawableBox(Protocol):
    """A box in pixels of the original picture, and what stands on its tag."""

    @property
    def label(self) -> str: ...
    @property
    def class_id(self) -> int: ...
    @property
    def score(self) -> float: ...
    @property
    def box(self) -> tuple[float, float, float, float]: ...


def draw_boxes(payload: bytes, found: Sequence[DrawableBox], max_pixels: int) -> Picture:
    """Boxes, best first, on the encoded picture, the best on top → JPEG. Raises BadInput or TooLarge."""
    picture, scale = open_canvas(payload, max_pixels)
    line_width = max(2, round(max(picture.size) / 320))
    pen = ImageDraw.Draw(picture)
    pen.font = ImageFont.load_default(max(11, round(max(picture.size) / 45)))
    for one in reversed(found):
        left, top, right, bottom = (edge * scale for edge in one.box)
        corners = (left, top, max(left, right - 1), max(top, bottom - 1))
        pen.rectangle(corners, outline=class_colour(one.class_id), width=line_width)
    for one in reversed(found):  # after all lines, so that none crosses a tag out
        corner = (one.box[0] * scale, one.box[1] * scale)
        draw_tag(pen, corner, f"{plain_letters(one.label)} {one.score:.2f}", class_colour(one.class_id))
    return finished_drawing(picture)


def draw_tag(pen: ImageDraw.ImageDraw, corner: tuple[float, float], text: str, colour: Colour) -> None:
    """A filled tag that stands on the upper left corner of a box, or hangs below where there is no room above."""
    left, top, right, bottom = pen.textbbox((0, 0), text)
    width, height = right - left + 4, bottom - top + 4
    x = max(0.0, min(corner[0], pen.im.size[0] - width))
    y = corner[1] - height if corner[1] >= height else corner[1]
    pen.rectangle((x, y, x + width, y + height), fill=colour)
    pen.text((x + 2 - left, y + 2 - top), text, fill=readable_on(colour))


def plain_letters(label: str) -> str:
    """Without accents: Pillow's own font has the letters of English alone."""
    return "".join(letter for letter in normalize("NFKD", label) if not combining(letter))


def class_colour(class_id: int) -> Colour:
    """A colour per class, the same in every picture; neighbouring classes lie far apart on the wheel."""
    hue = class_id * GOLDEN_RATIO % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 1.0 if class_id % 2 else 0.8)
    return round(red * 255), round(green * 255), round(blue * 255)


def readable_on(colour: Colour) -> Colour:
    """Black or white, whichever stands out."""
    luma = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    return (0, 0, 0) if luma > 128 else (255, 255, 255)
