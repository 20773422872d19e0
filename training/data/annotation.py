"""What is known about one picture beyond a single class: its objects, its mask, a sentence about it."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

IGNORED = 255
"""In a mask: a pixel that belongs to no class, and that nobody is judged by."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """Everything in pixels of the upright picture, as `tasks.image.decode_image` shows it.

    `boxes` float32 [N, 4] as (left, top, right, bottom), `class_ids` int64 [N] into the labels of the source, `crowd`
    bool [N]: such a box covers many objects of its class, and detections inside it are neither right nor wrong.
    `encoded_mask`: a PNG of uint8 [height, width], each pixel an index into the mask labels of the source, or IGNORED;
    empty where the data has no masks. `caption`: one sentence, or empty.
    """

    boxes: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    encoded_mask: bytes = b""
    caption: str = ""

    def mask(self) -> NDArray[np.uint8]:
        """uint8 [height, width]. To be asked only of data that has masks."""
        with Image.open(io.BytesIO(self.encoded_mask)) as picture:
            return np.asarray(picture, np.uint8)
