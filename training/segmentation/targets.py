"""Masks as tensors, at the size of the model's input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.image import ImageSpec, Placement
from training.data.annotation import IGNORED, Annotation
from training.data.source import Target


class MaskTargets:
    """A mask → uint8 [B, H, W]: what the original shows under the centre of each pixel of the input, IGNORED where the
    input shows no part of it."""

    version = "mask-1"

    def __init__(self, image: ImageSpec) -> None:
        self._image = image

    def encode(self, target: Target, placement: Placement) -> NDArray[np.uint8]:
        assert isinstance(target, Annotation)
        return place_mask(target.mask(), placement, self._image)

    def collate(self, encoded: Sequence[NDArray[np.uint8]]) -> tuple[Tensor, ...]:
        return (torch.from_numpy(np.stack(encoded)),)


def place_mask(mask: NDArray[np.uint8], placement: Placement, image: ImageSpec) -> NDArray[np.uint8]:
    """uint8 [original height, original width] → uint8 [`image.height`, `image.width`]."""
    rows, row_seen = pixels_under(image.height, placement.scale_y, placement.offset_y, placement.original_height)
    columns, column_seen = pixels_under(image.width, placement.scale_x, placement.offset_x, placement.original_width)
    placed = mask[rows[:, None], columns]
    return np.where(row_seen[:, None] & column_seen, placed, IGNORED).astype(np.uint8)


def pixels_under(
    size: int, scale: float, offset: float, original_size: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Along one axis of the input: which pixel of the original lies under each centre, and whether there is one."""
    under = np.floor((np.arange(size) + 0.5 - offset) / scale).astype(np.int64)
    inside = under.clip(0, original_size - 1)
    return inside, inside == under
