"""Small encoded pictures of every kind that the decoder must read, made on the spot."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")


def scene(height: int, width: int) -> Image.Image:
    """A smooth picture, different in every corner, so that no turn or flip of it looks like another."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    y, x = y / max(1, height - 1), x / max(1, width - 1)
    waves = 30 * np.sin(9 * x + 4 * y)
    bands = np.stack([200 * x + waves, 220 * y, 255 * (1 - x) * (1 - y)], axis=-1)
    return Image.fromarray(np.clip(bands, 0, 255).astype(np.uint8))


def patches(seed: int, height: int = 60, width: int = 80) -> Image.Image:
    """A grid of 4 × 4 patches of noisy grey, each dark, middling or light."""
    rng = np.random.default_rng(seed)
    levels = rng.choice([20, 128, 235], (4, 4))
    rows, columns = np.arange(height) * 4 // height, np.arange(width) * 4 // width
    noisy = levels[rows[:, None], columns] + rng.integers(-15, 16, (height, width))
    return Image.fromarray(np.repeat(noisy.astype(np.uint8)[..., None], 3, axis=2))


def encode(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The bytes of a file; lossless where the format can be, nearly so as JPEG."""
    defaults: dict[str, dict[str, object]] = {
        "JPEG": {"quality": 95, "subsampling": 0},
        "WEBP": {"lossless": True, "method": 0},
    }
    stream = io.BytesIO()
    picture.save(stream, kind, **(defaults.get(kind, {}) | options))
    return stream.getvalue()


def exif(orientation: int, order: str = "<", kind: int = 3) -> bytes:
    """An EXIF block that says nothing but the orientation. `kind`: 3 for SHORT, 4 for LONG."""
    value = struct.pack(order + ("H2x" if kind == 3 else "I"), orientation)
    magic = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(order + "HHI", 0x0112, kind, 1) + value
    return b"Exif\0\0" + magic + struct.pack(order + "IH", 8, 1) + entry + bytes(4)


def png_chunk(name: bytes, data: bytes) -> bytes:
    """One chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_with(chunk: bytes, after_pixels: bool = False) -> bytes:
    """A valid small PNG with one more chunk, behind the header or behind the pixels."""
    payload = encode(scene(8, 8), "PNG")
    at = payload.rindex(b"IEND") - 4 if after_pixels else payload.index(b"IDAT") - 4
    return payload[:at] + chunk + payload[at:]


def png_of_zeros(height: int, width: int) -> bytes:
    """A black 1-bit PNG of any size: a decompression bomb."""
    rows = zlib.compress(bytes((width + 7) // 8 + 1) * height)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")
