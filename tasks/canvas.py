"""What every drawing begins and ends with: the caller's picture, upright and no larger than a screen, and a JPEG."""

from __future__ import annotations

import io

from PIL import Image

from tasks.image import ImageSpec, decode_image, place_image, resize_image
from tasks.task import Picture

MAX_SIDE = 2048
"""The longer side of a drawing in pixels; larger pictures are shrunk."""
JPEG_QUALITY = 90


def open_canvas(payload: bytes, max_pixels: int) -> tuple[Image.Image, float]:
    """The upright picture, shrunk to `MAX_SIDE`, and pixels of it per pixel of the original."""
    decoded = decode_image(payload, ImageSpec(height=MAX_SIDE, width=MAX_SIDE, fit="letterbox"), max_pixels)
    height, width = decoded.original_height, decoded.original_width
    scale = min(1.0, MAX_SIDE / max(height, width))
    spec = ImageSpec(height=max(1, round(height * scale)), width=max(1, round(width * scale)))
    pixels = resize_image(decoded.pixels, place_image(height, width, spec), spec)
    return Image.fromarray(pixels), scale


def finished_drawing(drawing: Image.Image) -> Picture:
    """An RGB picture as it is answered."""
    stream = io.BytesIO()
    drawing.save(stream, "JPEG", quality=JPEG_QUALITY)
    return Picture("image/jpeg", stream.getvalue())
