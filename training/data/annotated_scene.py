"""Composing one scene of several digits: overlapping, each with its box and its mask, encoded as JPEG.

A digit's box is tight around all of its ink, also where a later digit hides some of it; the mask shows what is seen:
later digits paint over earlier ones. A place where a digit would make an earlier one hard to tell is drawn again.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data.annotation import Annotation
from training.data.digits import DIGIT_LABELS, encode_png
from training.data.scene import (
    JPEG_QUALITY,
    LUMA,
    Colours,
    Ingredients,
    Pixels,
    blend,
    draw_ground,
    draw_ink,
    draw_pose,
    render_scan,
)
from training.data.scene_caption import describe_objects
from training.data.source import Example

ANNOTATION_VERSION = 2
"""Raised whenever scenes of several digits or their annotations change."""

MASK_LABELS = ("background", *DIGIT_LABELS)
"""What a mask's values mean: a digit's pixels are its class + 1."""
MIN_SIDE, MAX_SIDE = 96, 192
DIGIT_SHARE = (0.17, 0.5)
"""Height of a digit as a share of the picture's shorter side: 16 pixels or more in an input of 128 × 128."""
INK_COVER = 0.4
"""From this cover on a pixel belongs to the digit: there the ink decides its colour."""
HALO_COVER = 0.1
"""From this cover on ink can be seen: digits that come so close run into each other where their inks are alike."""
MIN_VISIBLE = 0.4
"""Share of a digit's ink that later digits must leave to be seen."""
MAX_BOX_OVERLAP = 0.5
"""Largest part of the smaller of two boxes that the other may cover."""
MIN_INK_STEP = 40.0
"""Least difference in luminance between the inks of two digits that touch, of 255."""
ATTEMPTS = 20
"""Places tried for a digit before the scene goes without it."""


@dataclass(frozen=True)
class PlacedDigit:
    """A digit of a scene: its class, its box as (left, top, right, bottom), its pixels of ink, the ink's luminance."""

    digit: int
    box: tuple[int, int, int, int]
    num_pixels: int
    luma: float


def compose_annotated_scene(ingredients: Ingredients, rng: np.random.Generator, max_digits: int) -> Example:
    """One random scene of 1…`max_digits` digits. Every number of digits is tried, and every class drawn, equally
    often; in a crowded scene a digit that finds no place is left out."""
    height = int(rng.integers(MIN_SIDE, MAX_SIDE + 1))
    width = int(np.clip(height * rng.uniform(0.75, 1.33), MIN_SIDE, MAX_SIDE))
    canvas = Canvas(draw_ground(ingredients.photographs, height, width, rng))
    for _ in range(int(rng.integers(1, max_digits + 1))):
        digit, scan = ingredients.draw_scan(rng)
        for _ in range(ATTEMPTS):
            if canvas.place(digit, scan, rng):
                break
    stream = io.BytesIO()
    Image.fromarray(canvas.pixels()).save(stream, "JPEG", quality=int(rng.integers(*JPEG_QUALITY)))
    return Example(stream.getvalue(), canvas.annotation())


class Canvas:
    """A ground that digits are painted on, and which digit each pixel shows."""

    def __init__(self, ground: Colours) -> None:
        self._colours = ground
        self._owners: NDArray[np.int64] = np.full(ground.shape[:2], -1, np.int64)
        self._placed: list[PlacedDigit] = []

    def place(self, digit: int, scan: Pixels, rng: np.random.Generator) -> bool:
        """Paints a digit at one random place. False, and nothing is painted, where that would spoil an earlier one."""
        height, width = self._owners.shape
        size = min(height, width) * np.exp(rng.uniform(*np.log(DIGIT_SHARE)))
        pose = draw_pose(size, height, width, rng)
        # Only the window that the digit can reach is rendered: most digits are much smaller than the picture.
        reach_x, reach_y = pose.half_width + pose.scale_x, pose.half_height + pose.scale_y
        left, right = max(0, int(pose.centre_x - reach_x)), min(width, int(pose.centre_x + reach_x) + 1)
        top, bottom = max(0, int(pose.centre_y - reach_y)), min(height, int(pose.centre_y + reach_y) + 1)
        moved = pose._replace(centre_x=pose.centre_x - left, centre_y=pose.centre_y - top)
        cover = render_scan(scan, moved, bottom - top, right - left)
        inked = cover > INK_COVER
        rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
        if len(rows) == 0:
            return False
        box = (left + int(columns[0]), top + int(rows[0]), left + int(columns[-1]) + 1, top + int(rows[-1]) + 1)
        window = np.s_[top:bottom, left:right]
        ink = draw_ink(self._colours[window], cover, rng)
        placed = PlacedDigit(digit, box, int(inked.sum()), float(ink @ LUMA))
        if self._spoils(placed, self._owners[window], cover):
            return False
        self._colours[window] = blend(self._colours[window], cover, ink)
        self._owners[window][inked] = len(self._placed)
        self._placed.append(placed)
        return True

    def _spoils(self, new: PlacedDigit, owners: NDArray[np.int64], cover: Colours) -> bool:
        """Whether an earlier digit would be hard to tell. `owners` of the pixels under the `cover` of the new digit."""
        shown = self._count(self._owners)
        hidden, touched = self._count(owners[cover > INK_COVER]), self._count(owners[cover > HALO_COVER])
        return any(
            overlap_of_smaller(new.box, old.box) > MAX_BOX_OVERLAP
            or (hidden[i] > 0 and shown[i] - hidden[i] < MIN_VISIBLE * old.num_pixels)
            or (touched[i] > 0 and abs(new.luma - old.luma) < MIN_INK_STEP)
            for i, old in enumerate(self._placed)
        )

    def _count(self, owners: NDArray[np.int64]) -> NDArray[np.int64]:
        """Pixels of each placed digit."""
        counts: NDArray[np.int64] = np.bincount(owners.ravel() + 1, minlength=len(self._placed) + 1)[1:]
        return counts

    def pixels(self) -> Pixels:
        """The picture, uint8 [height, width, 3]."""
        rounded: Pixels = self._colours.round().astype(np.uint8)
        return rounded

    def annotation(self) -> Annotation:
        """Boxes in the order of painting, the mask, and the caption."""
        digits = np.array([placed.digit for placed in self._placed], np.int64)
        boxes = np.array([placed.box for placed in self._placed], np.float32)
        # The owner of bare ground, −1, finds the zero at the end.
        mask = np.append(digits + 1, 0).astype(np.uint8)[self._owners]
        height, width = self._owners.shape
        caption = describe_objects([DIGIT_LABELS[digit] for digit in digits], boxes, height, width)
        return Annotation(boxes, digits, np.zeros(len(digits), np.bool_), encode_png(mask), caption)


def overlap_of_smaller(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """Area that two boxes share, as a part of the smaller one."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return max(width, 0) * max(height, 0) / min(areas)
