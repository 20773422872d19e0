"""How much boxes overlap: (left, top, right, bottom) in any unit, on tensors that gradients flow through."""

from __future__ import annotations

import torch
from torch import Tensor

TINY = 1e-7


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of every box of [B, M, 4] with every box of [B, A, 4] → [B, M, A]; 0 without area."""
    first, second = first.unsqueeze(2), second.unsqueeze(1)
    shared = intersection(first, second)
    return shared / (area(first) + area(second) - shared).clamp_min(TINY)


def generalised_iou(first: Tensor, second: Tensor) -> Tensor:
    """GIoU (Rezatofighi et al., 2019) of boxes [..., 4] with their partners → [...]: −1…1, 1 for equal boxes.

    Boxes that do not touch still have a gradient: it draws them together.
    """
    shared = intersection(first, second)
    union = area(first) + area(second) - shared
    around_low = torch.minimum(first[..., :2], second[..., :2])
    around_high = torch.maximum(first[..., 2:], second[..., 2:])
    around = (around_high - around_low).clamp_min(0).prod(dim=-1).clamp_min(TINY)
    return shared / union.clamp_min(TINY) - (around - union) / around


def intersection(first: Tensor, second: Tensor) -> Tensor:
    """The area that boxes share with their partners."""
    low, high = torch.maximum(first[..., :2], second[..., :2]), torch.minimum(first[..., 2:], second[..., 2:])
    return (high - low).clamp_min(0).prod(dim=-1)


def area(boxes: Tensor) -> Tensor:
    """[..., 4] → [...]."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp_min(0).prod(dim=-1)
