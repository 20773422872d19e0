"""The only image decoder and resizer of the repository.

Training, export, serving and monitoring all come here, so a model is fed in production what it was fed in training.
Pillow was chosen by measurement (`benchmarks/decode.md`): with scaled decoding it comes to within a seventh of the
fastest JPEG libraries, and it reads every format alone.

How pictures become RGB: the content decides the format, never a file name; EXIF turns are applied; of an animation the
first frame counts; transparency is composited on white; 16 bits keep their upper 8; CMYK is converted without, and
every other picture read without its colour profile.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from tasks.errors import BadInput, TidegateError, TooLarge
from tasks.exif import exif_orientation
from tasks.placement import ImageSpec, Placement, place_image

__all__ = ["DecodedImage", "ImageArray", "ImageSpec", "Placement", "decode_image", "place_image", "resize_image"]

ImageArray = NDArray[np.uint8]

MAX_PIXELS = 64_000_000
"""Pictures beyond this many pixels are refused from their header alone, before anything is decoded."""
MAX_SIDE = 65_535
"""The longest side that is accepted, in pixels: JPEG's own limit, and what Pillow's 32-bit boxes resolve."""
MAX_SCANNED_PIXELS = 1_000_000_000
"""Pixels × scans of a JPEG. Each scan visits every pixel, and costs the sender a hundred bytes."""
MAX_RUN_LENGTH_PIXELS = 4_000_000
"""Pixels of a run-length encoded BMP, which Pillow decodes in Python, pixel by pixel."""
MAX_WEBP_PIXELS = 32_000_000
"""Pixels of a WebP, whose decoding takes 16 bytes for each: half a gigabyte, as much as the largest PNG takes."""
REDUCING_GAP = 2
"""Pictures are shrunk by whole factors while they stay this many times larger than the model needs (and JPEGs, whose
frequencies can be left out at no loss of sharpness, while they stay as large)."""

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation → what makes the picture upright. From 5 on, width and height change places."""

# Pillow warns about odd metadata in words taken from the file, and Python remembers every distinct warning for ever.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """Raw RGB pixels [height, width, 3], possibly at a reduced scale, and the picture's true size (after EXIF turn)."""

    pixels: ImageArray
    original_height: int
    original_width: int


def decode_image(payload: bytes, spec: ImageSpec, max_pixels: int = MAX_PIXELS) -> DecodedImage:
    """Untrusted encoded bytes → RGB pixels, in both axes at least as large as the model needs them, and not much
    larger. Raises BadInput or TooLarge, and nothing else."""
    with blaming_the_file("the image cannot be read"):
        picture = read_header(payload)
    width, height = picture.size
    refuse_excess(picture, payload, max_pixels)
    with blaming_the_file("the image is damaged or cut short"):
        if isinstance(picture, JpegImageFile):
            picture.draft(None, placed_size(width, height, exif_orientation(picture.info.get("exif")), spec))
        picture.decodermaxblock = len(payload)  # one call to the decoder, so the GIL is released once, not per 64 kB
        picture.load()
        # Only now, because a PNG may carry its EXIF block behind the pixels.
        orientation = exif_orientation(picture.info.get("exif"))
        placed_width, placed_height = placed_size(width, height, orientation, spec)
        factor_x = max(1, picture.width // (placed_width * REDUCING_GAP))
        factor_y = max(1, picture.height // (placed_height * REDUCING_GAP))
        upright = opaque_rgb(picture, (factor_x, factor_y))
        if orientation in TURNS:
            upright = without_partial_pixels(upright, width, height).transpose(TURNS[orientation])
        pixels = np.asarray(upright)
    return DecodedImage(pixels, *((width, height) if orientation >= 5 else (height, width)))


@contextmanager
def blaming_the_file(complaint: str) -> Iterator[None]:
    """Pillow raises nearly every built-in exception on hostile bytes; here they all mean that the file is at fault."""
    try:
        yield
    except TidegateError:
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise TooLarge(f"{complaint}: too large to be decoded; send fewer pixels") from error
    except Exception as error:
        reason = str(error)[:200] or type(error).__name__
        raise BadInput(f"{complaint} ({reason}); send a whole JPEG, PNG, WebP, BMP or GIF") from error


def read_header(payload: bytes) -> ImageFile:
    """The picture's format, size and metadata; no pixel is decoded. Goes past `Image.open`, which would guess among
    every format that any plugin registered, and warn about large pictures instead of refusing them."""
    if not payload:
        raise BadInput("the image is empty (0 bytes); send an encoded JPEG, PNG, WebP, BMP or GIF")
    stream = io.BytesIO(payload)
    if payload.startswith(b"\xff\xd8\xff"):
        return JpegImageFile(stream)
    if payload.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImageFile(stream)
    if payload.startswith(b"RIFF") and payload[8:12] == b"WEBP":
        return WebPImageFile(stream)
    if payload.startswith((b"GIF87a", b"GIF89a")):
        return GifImageFile(stream)
    if payload.startswith(b"BM"):
        return BmpImageFile(stream)
    raise BadInput(f"not an image: it begins with {payload[:8]!r}; send an encoded JPEG, PNG, WebP, BMP or GIF")


def refuse_excess(picture: ImageFile, payload: bytes, max_pixels: int) -> None:
    """Raises TooLarge for a picture that would cost too much to decode, judged by its header."""
    width, height = picture.size
    num_pixels = width * height
    if num_pixels > max_pixels:
        raise TooLarge(f"the image has {width}×{height} pixels; at most {max_pixels} pixels are accepted")
    if max(width, height) > MAX_SIDE:
        raise TooLarge(f"the image has {width}×{height} pixels; a side may have at most {MAX_SIDE}")
    if isinstance(picture, JpegImageFile) and has_cheap_scans(picture, payload):
        # 0xFFDA starts a scan; within compressed data a byte 0xFF is always followed by 0x00 or a restart marker.
        num_scans = payload.count(b"\xff\xda")
        if num_scans * num_pixels > MAX_SCANNED_PIXELS:
            raise TooLarge(f"the JPEG has {width}×{height} pixels in {num_scans} scans; send it as baseline JPEG")
    if isinstance(picture, WebPImageFile) and num_pixels > MAX_WEBP_PIXELS:
        raise TooLarge(f"the WebP has {width}×{height} pixels; at most {MAX_WEBP_PIXELS} are accepted: send it as JPEG")
    if picture.tile and picture.tile[0].codec_name == "bmp_rle" and num_pixels > MAX_RUN_LENGTH_PIXELS:
        raise TooLarge(
            f"the run-length encoded BMP has {width}×{height} pixels; at most {MAX_RUN_LENGTH_PIXELS} are accepted: "
            "send it as PNG"
        )


def has_cheap_scans(picture: JpegImageFile, payload: bytes) -> bool:
    """Whether a scan over the whole picture may take but a few bytes: progressive or arithmetic coding. Sequential
    Huffman coding spends two bits on every block, so its scans are bounded by the payload."""
    header_end = picture.fp.tell() if picture.fp else len(payload)
    return "progressive" in picture.info or b"\xff\xc9" in payload[:header_end]


def placed_size(width: int, height: int, orientation: int, spec: ImageSpec) -> tuple[int, int]:
    """Width and height, in the axes of the stored picture, that the whole picture has in the model's input."""
    if orientation >= 5:
        upright_width, upright_height = placed_size(height, width, 1, spec)
        return upright_height, upright_width
    placement = place_image(height, width, spec)
    # A float may sit a hair above the whole number that is meant, and that pixel could cost a factor of two.
    return max(1, ceil(placement.placed_width - 1e-6)), max(1, ceil(placement.placed_height - 1e-6))


def opaque_rgb(picture: Image.Image, factors: tuple[int, int]) -> Image.Image:
    """Any mode → RGB, shrunk by whole factors (x, y). Shrinks as soon as the mode allows: conversions cost memory."""
    if picture.mode == "I;16":
        picture = upper_bits(picture)
    elif picture.mode == "1":
        picture = picture.convert("LA" if picture.has_transparency_data else "L")
    if picture.has_transparency_data and picture.mode != "RGBA":
        picture = picture.convert("RGBA")
    elif picture.mode == "P":
        picture = picture.convert("RGB")
    if factors != (1, 1):
        picture = picture.reduce(factors)
    if picture.mode == "RGBA":
        paper = Image.new("RGB", picture.size, (255, 255, 255))
        paper.paste(picture, mask=picture)
        return paper
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def without_partial_pixels(picture: Image.Image, width: int, height: int) -> Image.Image:
    """Shrinking leaves a last row and column that may lie partly beyond the picture. `resize_image` looks for them at
    the right and at the bottom, and a turn would carry them elsewhere: spread whole pixels over the picture instead."""
    covered = (covered_pixels(width, picture.width), covered_pixels(height, picture.height))
    if covered == picture.size:
        return picture
    return picture.resize((int(covered[0]), int(covered[1])), Image.Resampling.BILINEAR, (0.0, 0.0, *covered))


def upper_bits(picture: Image.Image) -> Image.Image:
    """16-bit grey → 8-bit grey (with alpha, where the file names a transparent value): the upper byte, as Pillow does
    for 16-bit colour. Pillow's own conversion of grey would clip."""
    values = np.asarray(picture)
    grey = Image.fromarray((values >> 8).astype(np.uint8))
    if "transparency" not in picture.info:
        return grey
    opaque = np.where(values == picture.info["transparency"], 0, 255).astype(np.uint8)
    return Image.merge("LA", (grey, Image.fromarray(opaque)))


def resize_image(pixels: ImageArray, placement: Placement, spec: ImageSpec) -> ImageArray:
    """Pixels at any scale of the original → uint8 [spec.height, spec.width, 3], antialiased, where `placement` says."""
    height, width = pixels.shape[:2]
    covered_y = covered_pixels(placement.original_height, height)
    covered_x = covered_pixels(placement.original_width, width)
    if spec.fit == "letterbox":
        size = (round(placement.placed_width), round(placement.placed_height))
        box = (0.0, 0.0, covered_x, covered_y)
    else:
        size = (spec.width, spec.height)
        per_x, per_y = covered_x / placement.placed_width, covered_y / placement.placed_height
        left, top = max(0.0, -placement.offset_x * per_x), max(0.0, -placement.offset_y * per_y)
        # Rounding may push a box a hair over the edge, which Pillow refuses.
        box = (left, top, min(left + spec.width * per_x, width), min(top + spec.height * per_y, height))
    if size == (width, height) and box == (0, 0, width, height):
        resized = pixels
    else:
        resized = np.asarray(Image.fromarray(pixels).resize(size, RESAMPLING[spec.interpolation], box))
    if size == (spec.width, spec.height):
        return np.ascontiguousarray(resized)
    canvas = np.full((spec.height, spec.width, 3), spec.pad_value, np.uint8)
    top, left = int(placement.offset_y), int(placement.offset_x)
    canvas[top : top + size[1], left : left + size[0]] = resized
    return canvas


def covered_pixels(original: int, decoded: int) -> float:
    """How many of `decoded` pixels along an axis the picture really covers: shrinking by a whole factor rounds up, and
    leaves a last pixel that lies partly beyond the edge."""
    factor = max(1, round(original / decoded))
    exact = original / factor
    return exact if ceil(exact) == decoded else float(decoded)
