"""Composing one scene: a handwritten digit on a plain ground or on a crop of a photograph, encoded as JPEG."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data.source import Example

Pixels = NDArray[np.uint8]
Colours = NDArray[np.float32]

GENERATOR_VERSION = 1
"""Raised whenever the pictures change, so that no old cache is mistaken for the new data."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
PLAIN_SHARE = 0.25
GREY_SHARE = 0.15
CROP_SHARE = (0.2, 0.7)
"""Size of a crop as a share of the largest that fits into the photograph: small ones are calm, large ones busy."""
MIN_SIDE, MAX_SIDE = 64, 160
DIGIT_SHARE = (0.45, 0.85)
"""Height of the digit as a share of the picture's shorter side."""
MAX_TURN_DEGREES = 20.0
CONTRAST = (80.0, 170.0)
"""Difference in luminance between the ink and the ground under it, of 255."""
JPEG_QUALITY = (50, 96)
SCAN_MARGIN = 2
"""Empty pixels put around a scan, so that interpolation fades out instead of ending at an edge."""


@dataclass(frozen=True)
class Ingredients:
    """What the scenes of one split are made of: scans uint8 [N, 8, 8], their digits [N], photographs [H, W, 3]."""

    scans: Pixels
    digits: NDArray[np.int64]
    photographs: Sequence[Pixels]

    def draw_scan(self, rng: np.random.Generator) -> tuple[int, Pixels]:
        """A digit and one scan of it. The digit comes first, so every class that there is, is equally likely."""
        classes = np.unique(self.digits)
        digit = int(classes[rng.integers(len(classes))])
        return digit, self.scans[rng.choice(np.flatnonzero(self.digits == digit))]

    def without(self, digits: Collection[int]) -> Ingredients:
        """The same, less all scans of these digits."""
        kept = ~np.isin(self.digits, list(digits))
        return Ingredients(self.scans[kept], self.digits[kept], self.photographs)


def compose_scene(ingredients: Ingredients, rng: np.random.Generator) -> Example:
    """One random scene of one digit."""
    digit, scan = ingredients.draw_scan(rng)
    height = int(rng.integers(MIN_SIDE, MAX_SIDE + 1))
    width = int(np.clip(height * rng.uniform(0.75, 1.33), MIN_SIDE, MAX_SIDE))
    ground = draw_ground(ingredients.photographs, height, width, rng)
    pixels = ink_digit(ground, scan, rng)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=int(rng.integers(*JPEG_QUALITY)))
    return Example(stream.getvalue(), digit)


def draw_ground(photographs: Sequence[Pixels], height: int, width: int, rng: np.random.Generator) -> Colours:
    """A plain colour or a turned, tinted crop of a photograph: float32 [height, width, 3] of 0…255."""
    if rng.random() < PLAIN_SHARE:
        return np.broadcast_to(rng.uniform(0, 255, 3).astype(np.float32), (height, width, 3)).copy()
    photograph = photographs[int(rng.integers(len(photographs)))]
    full_height, full_width = photograph.shape[:2]
    scale = rng.uniform(*CROP_SHARE) * min(full_height / height, full_width / width)
    crop_height, crop_width = height * scale, width * scale
    top, left = rng.uniform(0, full_height - crop_height), rng.uniform(0, full_width - crop_width)
    box = (left, top, min(left + crop_width, full_width), min(top + crop_height, full_height))
    crop = Image.fromarray(photograph).resize((width, height), Image.Resampling.BILINEAR, box=box)
    ground = np.asarray(crop, np.float32)
    if rng.random() < 0.5:
        ground = ground[:, ::-1]
    if rng.random() < GREY_SHARE:
        ground = np.repeat((ground @ LUMA)[..., None], 3, axis=-1)
    gain = rng.uniform(0.6, 1.3) * rng.uniform(0.85, 1.15, 3)
    tinted: Colours = np.clip(ground * gain.astype(np.float32), 0, 255)
    return tinted


def ink_digit(ground: Colours, scan: Pixels, rng: np.random.Generator) -> Pixels:
    """The scan drawn over the ground in a colour that stands out from what it covers: uint8 [height, width, 3]."""
    height, width = ground.shape[:2]
    pose = draw_pose(rng.uniform(*DIGIT_SHARE) * min(height, width), height, width, rng)
    cover = render_scan(scan, pose, height, width)
    ink = draw_ink(ground, cover, rng)
    pixels: Pixels = blend(ground, cover, ink).round().astype(np.uint8)
    return pixels


def draw_ink(ground: Colours, cover: Colours, rng: np.random.Generator) -> Colours:
    """A colour, float32 [3], whose luminance differs from the mean of what the ink will cover by CONTRAST."""
    luma_under = float(np.average(ground @ LUMA, weights=cover + 1e-6))
    step = rng.uniform(*CONTRAST) * rng.choice((-1.0, 1.0))
    if not 0 <= luma_under + step <= 255:
        step = -step
    ink: Colours = np.clip(luma_under + step + rng.uniform(-30, 30, 3), 0, 255).astype(np.float32)
    return ink


def blend(ground: Colours, cover: Colours, ink: Colours) -> Colours:
    """The ground with ink on it: float32 [height, width, 3]."""
    blended: Colours = ground + cover[..., None] * (ink - ground)
    return blended


class Pose(NamedTuple):
    """Where a scan is placed: pixels of the picture to a pixel of the scan, turn in radians, and its centre."""

    scale_x: float
    scale_y: float
    angle: float
    centre_x: float
    centre_y: float

    @property
    def half_width(self) -> float:
        """Half of the turned scan's extent from left to right."""
        return float(4 * self.scale_x * np.cos(self.angle) + abs(4 * self.scale_y * np.sin(self.angle)))

    @property
    def half_height(self) -> float:
        """Half of the turned scan's extent from top to bottom."""
        return float(4 * self.scale_y * np.cos(self.angle) + abs(4 * self.scale_x * np.sin(self.angle)))


def draw_pose(digit_height: float, height: int, width: int, rng: np.random.Generator) -> Pose:
    """A random turn, width and place for a digit of `digit_height` pixels, wholly inside the picture."""
    scale_y = digit_height / 8
    scale_x = scale_y * rng.uniform(0.8, 1.2)
    angle = float(np.deg2rad(rng.uniform(-MAX_TURN_DEGREES, MAX_TURN_DEGREES)))
    pose = Pose(scale_x, scale_y, angle, 0.0, 0.0)
    centre_y = place_centre(pose.half_height, height, rng)
    centre_x = place_centre(pose.half_width, width, rng)
    return pose._replace(centre_x=centre_x, centre_y=centre_y)


def render_scan(scan: Pixels, pose: Pose, height: int, width: int) -> Colours:
    """The scan as ink cover of 0…1, float32 [height, width]."""
    padded = np.pad(scan, SCAN_MARGIN)
    cosine, sine = float(np.cos(pose.angle)), float(np.sin(pose.angle))
    # Pillow wants the inverse map: from a pixel of the result back to the scan.
    a, b = cosine / pose.scale_x, sine / pose.scale_x
    d, e = -sine / pose.scale_y, cosine / pose.scale_y
    middle = 4 + SCAN_MARGIN
    shift_x = middle - a * pose.centre_x - b * pose.centre_y
    shift_y = middle - d * pose.centre_x - e * pose.centre_y
    coefficients = (a, b, shift_x, d, e, shift_y)
    placed = Image.fromarray(padded).transform(
        (width, height), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC
    )
    # Scans seldom reach full ink: a little gain keeps thin strokes readable.
    cover: Colours = np.clip(np.asarray(placed, np.float32) * (1.3 / 255), 0, 1)
    return cover


def place_centre(half_extent: float, side: int, rng: np.random.Generator) -> float:
    """A centre that keeps the whole extent inside the picture, or its middle where it does not fit."""
    room = side / 2 - half_extent
    return side / 2 + (rng.uniform(-room, room) if room > 0 else 0.0)
