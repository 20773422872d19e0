"""Crops of feature maps: RoIAlign (He et al., "Mask R-CNN", 2017), by an operation that every runtime has."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def crop_boxes(level: Tensor, boxes: Tensor, height: int, width: int, size: int) -> Tensor:
    """A map [B, C, h, w] of pictures of `height` × `width`, and boxes [B, K, 4] in their pixels → [B, K, C, S, S].

    Each cell of a crop is read once, at its middle, interpolated; what lies outside of the picture is zero.
    """
    batch, channels = level.shape[:2]
    steps = (torch.arange(size, device=level.device, dtype=boxes.dtype) + 0.5) / size
    left, top, right, bottom = boxes.unsqueeze(3).unbind(dim=2)
    # As grid_sample counts: −1 and 1 are the outer edges of the map, hence of the picture.
    x = (left + (right - left) * steps) * (2 / width) - 1
    y = (top + (bottom - top) * steps) * (2 / height) - 1
    grid = torch.stack((x.unsqueeze(2).expand(-1, -1, size, -1), y.unsqueeze(3).expand(-1, -1, -1, size)), dim=4)
    sampled = functional.grid_sample(level, grid.flatten(1, 2), padding_mode="zeros", align_corners=False)
    return sampled.view(batch, channels, -1, size, size).transpose(1, 2)
