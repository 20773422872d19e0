"""Where a picture of any size lies in the fixed-size input of a model: pure geometry, no pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

Side = Annotated[int, msgspec.Meta(ge=1, le=8192)]
"""A side of the model's input in pixels."""


class ImageSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The image a graph takes: uint8 [height, width, 3], RGB, and how any picture becomes one.

    `fit`: "stretch" ignores the aspect ratio; "letterbox" keeps it and pads with `pad_value`; "crop" keeps it, covers
    the target and cuts the centre.
    """

    height: Side
    width: Side
    fit: Literal["stretch", "letterbox", "crop"] = "stretch"
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    pad_value: Annotated[int, msgspec.Meta(ge=0, le=255)] = 114


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the original picture lies in the model's input: x_input = x_original · scale_x + offset_x, in pixels.

    Coordinates are continuous: pixel i covers [i, i + 1), so 0 and `original_width` are the picture's two edges.
    """

    original_height: int
    original_width: int
    scale_y: float
    scale_x: float
    offset_y: float
    offset_x: float

    @property
    def placed_height(self) -> float:
        """Height of the whole picture in pixels of the model's input, whether or not it fits in there."""
        return self.original_height * self.scale_y

    @property
    def placed_width(self) -> float:
        """Width of the whole picture in pixels of the model's input, whether or not it fits in there."""
        return self.original_width * self.scale_x

    def to_input(self, points_xy: ArrayLike) -> NDArray[np.float64]:
        """Points [..., 2] as (x, y) in pixels of the original → in pixels of the model's input."""
        return np.asarray(points_xy, np.float64) * (self.scale_x, self.scale_y) + (self.offset_x, self.offset_y)

    def to_original(self, points_xy: ArrayLike) -> NDArray[np.float64]:
        """Points [..., 2] as (x, y) in pixels of the model's input → in pixels of the original, unclipped."""
        return (np.asarray(points_xy, np.float64) - (self.offset_x, self.offset_y)) / (self.scale_x, self.scale_y)


def place_image(original_height: int, original_width: int, spec: ImageSpec) -> Placement:
    """How a picture of this size lies in the model's input.

    A letterboxed picture keeps at least one pixel per axis and starts at a whole pixel, so its aspect ratio may be off
    by the rounding; the two scales say exactly by how much.
    """
    ratio_y, ratio_x = spec.height / original_height, spec.width / original_width
    if spec.fit == "stretch":
        return Placement(original_height, original_width, ratio_y, ratio_x, 0.0, 0.0)
    if spec.fit == "crop":
        scale = max(ratio_y, ratio_x)
        offset_y = (spec.height - original_height * scale) / 2
        offset_x = (spec.width - original_width * scale) / 2
        return Placement(original_height, original_width, scale, scale, offset_y, offset_x)
    scale = min(ratio_y, ratio_x)
    inner_height = min(spec.height, max(1, round(original_height * scale)))
    inner_width = min(spec.width, max(1, round(original_width * scale)))
    return Placement(
        original_height,
        original_width,
        inner_height / original_height,
        inner_width / original_width,
        (spec.height - inner_height) // 2,
        (spec.width - inner_width) // 2,
    )
