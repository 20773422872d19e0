"""What goes wrong with cameras and pipelines, at several strengths. Results are PNG, so that nothing else changes."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image, ImageFilter

GAMMA = 2.2
"""Of the curve from light to pixel values."""
FULL_WELL = 4000.0
"""Photons that make a pixel white in daylight: those of a small camera's sensor."""
READ_NOISE = 6.0
"""Standard deviation of what the sensor adds by itself, in photons."""

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


def night(share: float) -> Corruption:
    """What a camera sees at night, with exposure and gain as by day: `share` of the light, so that its photons can be
    counted: shot noise of Poisson, the sensor's own noise, and then the usual curve to pixel values."""

    def corrupt(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
        photons = (np.asarray(picture, np.float64) / 255) ** GAMMA * (share * FULL_WELL)
        caught = rng.poisson(photons) + rng.standard_normal(photons.shape) * READ_NOISE
        pixels = np.clip(caught / FULL_WELL, 0, 1) ** (1 / GAMMA) * 255
        return Image.fromarray(pixels.round().astype(np.uint8))

    return corrupt


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
    "dusk, 1/4 of the light": night(1 / 4),
    "night, 1/16 of the light": night(1 / 16),
    "night, 1/64 of the light": night(1 / 64),
}


def corrupt_payload(payload: bytes, corruption: Corruption, rng: np.random.Generator) -> bytes:
    """Encoded picture → corrupted picture as PNG."""
    buffer = io.BytesIO()
    corruption(Image.open(io.BytesIO(payload)).convert("RGB"), rng).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
