"""The photographs bundled with scikit-learn and scikit-image, each belonging to exactly one split.

Graphics, text pages and pictures that show digits (a clock) are left out, as is the second view of the stereo pair.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tasks.image import ImageSpec, decode_image
from training.data.source import SplitName

MAX_SIDE = 512
"""Photographs are shrunk to this many pixels on their longer side: enough for every crop that is made of them."""

SKLEARN, SKIMAGE = "sklearn.datasets.images", "skimage.data"
PHOTOGRAPHS: Mapping[SplitName, tuple[tuple[str, str], ...]] = {
    "train": (
        (SKLEARN, "china.jpg"),
        (SKIMAGE, "astronaut.png"),
        (SKIMAGE, "camera.png"),
        (SKIMAGE, "coffee.png"),
        (SKIMAGE, "coins.png"),
        (SKIMAGE, "gravel.png"),
        (SKIMAGE, "ihc.png"),
        (SKIMAGE, "motorcycle_left.png"),
        (SKIMAGE, "retina.jpg"),
    ),
    "validation": (
        (SKLEARN, "flower.jpg"),
        (SKIMAGE, "brick.png"),
        (SKIMAGE, "moon.png"),
        (SKIMAGE, "rocket.jpg"),
    ),
    "test": (
        (SKIMAGE, "chelsea.png"),
        (SKIMAGE, "grass.png"),
        (SKIMAGE, "hubble_deep_field.jpg"),
        (SKIMAGE, "cell.png"),
    ),
}


def load_photographs(split: SplitName) -> list[NDArray[np.uint8]]:
    """Every photograph of a split as uint8 [height, width, 3], longer side at most MAX_SIDE."""
    return [load_photograph(package, name) for package, name in PHOTOGRAPHS[split]]


def load_photograph(package: str, name: str) -> NDArray[np.uint8]:
    """One bundled photograph."""
    decoded = decode_image((files(package) / name).read_bytes(), ImageSpec(height=MAX_SIDE, width=MAX_SIDE))
    height, width = decoded.pixels.shape[:2]
    shrink = MAX_SIDE / max(height, width, MAX_SIDE)
    picture = Image.fromarray(decoded.pixels)
    return np.asarray(picture.resize((round(width * shrink), round(height * shrink)), Image.Resampling.LANCZOS))
