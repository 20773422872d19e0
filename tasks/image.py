"""The only image decoder and resizer of the repository.

Training, export, serving and monitoring all come here, so a model is fed in production what it was fed in training.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tasks.errors import BadInput, TooLarge

ImageArray = NDArray[np.uint8]
MAX_PIXELS = 64_000_000
"""Pictures beyond this many pixels are refused from their header alone, before anything is decoded."""


class ImageSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The image a graph takes: uint8 [height, width, 3], RGB, and how any picture becomes one.

    `fit`: "stretch" ignores the aspect ratio; "letterbox" keeps it and pads with `pad_value`; "crop" keeps it, covers
    the target and cuts the centre.
    """

    height: int
    width: int
    fit: Literal["stretch", "letterbox", "crop"] = "stretch"
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    pad_value: int = 114


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the original picture lies in the model's input: x_input = x_original · scale_x + offset_x, in pixels."""

    original_height: int
    original_width: int
    scale_y: float
    scale_x: float
    offset_y: float
    offset_x: float


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """Raw RGB pixels [height, width, 3], possibly at a reduced scale, and the picture's true size (after EXIF turn)."""

    pixels: ImageArray
    original_height: int
    original_width: int


def decode_image(payload: bytes, spec: ImageSpec, max_pixels: int = MAX_PIXELS) -> DecodedImage:
    """Untrusted encoded bytes → RGB pixels, at least as large as the model needs. Raises BadInput or TooLarge."""
    if not payload:
        raise BadInput("the image is empty (0 bytes); send an encoded JPEG, PNG, WebP, BMP or GIF")
    try:
        picture = Image.open(io.BytesIO(payload), formats=("JPEG", "PNG", "WEBP", "BMP", "GIF"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInput(f"not an image that can be read ({error}); send JPEG, PNG, WebP, BMP or GIF") from error
    width, height = picture.size
    if width * height > max_pixels:
        raise TooLarge(f"the image has {width}×{height} pixels; at most {max_pixels} pixels are accepted")
    try:
        picture.draft("RGB", (spec.width, spec.height))
        upright = ImageOps.exif_transpose(picture)
        pixels = np.asarray(upright.convert("RGB"))
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise BadInput(f"the image is damaged ({error})") from error
    turned = (pixels.shape[0] > pixels.shape[1]) != (picture.size[1] > picture.size[0])
    return DecodedImage(pixels, *((width, height) if turned else (height, width)))


def place_image(original_height: int, original_width: int, spec: ImageSpec) -> Placement:
    """How a picture of this size lies in the model's input: pure geometry, no pixels."""
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


RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def resize_image(pixels: ImageArray, placement: Placement, spec: ImageSpec) -> ImageArray:
    """Pixels at any scale of the original → uint8 [spec.height, spec.width, 3], antialiased, where `placement` says."""
    if pixels.shape == (spec.height, spec.width, 3) and placement.offset_x == placement.offset_y == 0:
        return np.ascontiguousarray(pixels)
    picture, method = Image.fromarray(pixels), RESAMPLING[spec.interpolation]
    if spec.fit != "letterbox":
        per_y = pixels.shape[0] / placement.original_height / placement.scale_y
        per_x = pixels.shape[1] / placement.original_width / placement.scale_x
        left, top = -placement.offset_x * per_x, -placement.offset_y * per_y
        box = (left, top, left + spec.width * per_x, top + spec.height * per_y)
        return np.asarray(picture.resize((spec.width, spec.height), method, box=clip_box(box, picture.size)))
    inner_height = round(placement.original_height * placement.scale_y)
    inner_width = round(placement.original_width * placement.scale_x)
    canvas = np.full((spec.height, spec.width, 3), spec.pad_value, np.uint8)
    top, left = int(placement.offset_y), int(placement.offset_x)
    canvas[top : top + inner_height, left : left + inner_width] = np.asarray(
        picture.resize((inner_width, inner_height), method)
    )
    return canvas


def clip_box(box: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Rounding may push a box a hair over the edge, which Pillow refuses."""
    width, height = size
    return max(0.0, box[0]), max(0.0, box[1]), min(float(width), box[2]), min(float(height), box[3])
