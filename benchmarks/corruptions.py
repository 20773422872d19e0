"""What goes wrong with cameras and pipelines, at several strengths. Results are PNG, so that nothing else changes."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image, ImageFilter

Corruption = Callable[[Image.Image, np.random.Generator], Image.Image]


def add_noise(sigma: float) -> Corruption:
    """Gaussian noise of `sigma` grey levels (of 255) on every channel."""

    def corrupt(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
        pixels = np.asarray(picture, np.float32)
        noisy = pixels + rng.standard_normal(pixels.shape, np.float32) * sigma
        return Image.fromarray(np.clip(noisy.round(), 0, 255).astype(np.uint8))

    return corrupt


def blur(sigma: float) -> Corruption:
    """Gaussian blur; `sigma` in pixels of the original picture."""
    return lambda picture, rng: picture.filter(ImageFilter.GaussianBlur(sigma))


def darken(factor: float) -> Corruption:
    """Every value times `factor`."""
    return lambda picture, rng: picture.point(lambda value: round(value * factor))


def invert() -> Corruption:
    """The negative."""
    return lambda picture, rng: picture.point(lambda value: 255 - value)


CORRUPTIONS: Mapping[str, Corruption] = {
    "gaussian noise, sigma 10": add_noise(10),
    "gaussian noise, sigma 20": add_noise(20),
    "gaussian noise, sigma 40": add_noise(40),
    "blur, sigma 1 px": blur(1),
    "blur, sigma 2 px": blur(2),
    "blur, sigma 3 px": blur(3),
    "inverted contrast": invert(),
    "darkness, x 0.7": darken(0.7),
    "darkness, x 0.5": darken(0.5),
    "darkness, x 0.25": darken(0.25),
}


def corrupt_payload(payload: bytes, corruption: Corruption, rng: np.random.Generator) -> bytes:
    """Encoded picture → corrupted picture as PNG."""
    buffer = io.BytesIO()
    corruption(Image.open(io.BytesIO(payload)).convert("RGB"), rng).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
