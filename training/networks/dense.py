"""Dense prediction: one box and some scores at every position of a pyramid of maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from training.detection.assignment import Positions
from training.networks.fpn import FeaturePyramid, find_levels
from training.networks.layers import convolve
from training.networks.network import FeatureMap

FIRST_SCORE = 0.01
"""What every class scores before training: nearly all positions are background, and should not swamp the rest."""
MAX_LOG_SIZE = 5.0
"""Boxes are at most e⁵ strides wide, so that no wild weight makes one infinite."""


class DenseGuess(NamedTuple):
    """Class logits FP32 [B, A, C] and boxes FP32 [B, A, 4] in input pixels at every position, finest map first; and the
    maps of the pyramid that they were read from."""

    logits: Tensor
    boxes: Tensor
    positions: Positions
    levels: list[Tensor]


class Branches(nn.Module):
    """One map → class logits [B, positions, C] and raw boxes [B, positions, 4], by separate convolutions: what tells a
    thing's name is not what tells its edges."""

    def __init__(self, channels: int, depth: int, num_classes: int) -> None:
        super().__init__()
        self.class_tower = nn.Sequential(*(convolve(channels, channels) for _ in range(depth)))
        self.box_tower = nn.Sequential(*(convolve(channels, channels) for _ in range(depth)))
        self.classify = nn.Conv2d(channels, num_classes, 1)
        self.frame = nn.Conv2d(channels, 4, 1)
        nn.init.normal_(self.classify.weight, std=0.01)
        nn.init.constant_(self.classify.bias, -math.log((1 - FIRST_SCORE) / FIRST_SCORE))  # type: ignore[arg-type]
        nn.init.normal_(self.frame.weight, std=0.01)

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor]:
        logits, raw = self.classify(self.class_tower(level)), self.frame(self.box_tower(level))
        return logits.flatten(2).transpose(1, 2), raw.flatten(2).transpose(1, 2)


class DenseHead(nn.Module):
    """Maps of a backbone, finest first → a DenseGuess. Each map of the pyramid has branches of its own: what is normal
    in one, for batch normalisation, is not in another."""

    def __init__(
        self, feature_maps: Sequence[FeatureMap], strides: Sequence[int], channels: int, depth: int, num_classes: int
    ) -> None:
        super().__init__()
        self._chosen = find_levels(feature_maps, strides)
        self._strides = [feature_maps[index].stride for index in self._chosen]
        self.pyramid = FeaturePyramid([feature_maps[index] for index in self._chosen], channels)
        self.branches = nn.ModuleList(Branches(channels, depth, num_classes) for _ in self._chosen)

    def forward(self, maps: list[Tensor]) -> DenseGuess:
        levels = self.pyramid([maps[index] for index in self._chosen])
        answers = [branches(level) for branches, level in zip(self.branches, levels, strict=True)]
        logits = torch.cat([logits for logits, _ in answers], dim=1).float()
        raw = torch.cat([raw for _, raw in answers], dim=1).float()
        grids = [lay_grid(level, stride) for level, stride in zip(levels, self._strides, strict=True)]
        positions = Positions(*(torch.cat(parts) for parts in zip(*grids, strict=True)))
        # A box by its centre and size: one that is thinner than a stride need not cover the position that finds it.
        strides = positions.strides.unsqueeze(1)
        middles = positions.centres + raw[..., :2] * strides
        halves = raw[..., 2:].clamp_max(MAX_LOG_SIZE).exp() * strides / 2
        return DenseGuess(logits, torch.cat((middles - halves, middles + halves), dim=2), positions, levels)


def lay_grid(level: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Centres [positions, 2] as (x, y) and strides [positions] of one map [B, C, H, W], row by row."""
    height, width = level.shape[2:]
    rows = (torch.arange(height, device=level.device, dtype=torch.float32) + 0.5) * stride
    columns = (torch.arange(width, device=level.device, dtype=torch.float32) + 0.5) * stride
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    centres = torch.stack((x.flatten(), y.flatten()), dim=1)
    return centres, torch.full((height * width,), float(stride), device=level.device)


def best_candidates(boxes: Tensor, scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Boxes [B, A, 4] and scores [B, A, C] → those of the `count` highest best scores, best first."""
    best = scores.amax(dim=2).topk(min(count, scores.shape[1]), dim=1).indices.unsqueeze(2)
    return boxes.gather(1, best.expand(-1, -1, 4)), scores.gather(1, best.expand(-1, -1, scores.shape[2]))
