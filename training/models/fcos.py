"""An anchor-free one-stage detector in the line of FCOS (Tian et al., 2019) and YOLOX (Ge et al., 2021).

Over the pyramid of a backbone stands one head per map, with separate branches for classes and boxes. Each position
says one box, by its centre and size, and a score for every class that tells class and quality of the box at once.
"""

from __future__ import annotations

import math
from typing import Annotated

import msgspec
import torch
from torch import Tensor, nn

from tasks.image import ImageSpec
from training.detection.assignment import AssignmentName, Guess, Positions, Truth, assign
from training.detection.losses import dense_losses
from training.networks import architecture
from training.networks.config import Building
from training.networks.detector import Detector
from training.networks.fpn import FeaturePyramid, find_levels
from training.networks.layers import convolve
from training.networks.network import Trunk

BUILDS: Building = "detector"
Count = Annotated[int, msgspec.Meta(ge=1)]

FIRST_SCORE = 0.01
"""What every class scores before training: nearly all positions are background, and should not swamp the rest."""
MAX_LOG_SIZE = 5.0
"""Boxes are at most e⁵ strides wide, so that no wild weight makes one infinite."""


class Options(architecture.Options, frozen=True, kw_only=True):
    """`strides`: the maps of the backbone that are searched. `channels` and `depth`: width of pyramid and head, and
    3×3 convolutions in each branch of the head. `num_candidates`: how many boxes leave the graph, at most.

    `assignment`: "aligned" gives an object to the positions that do best at it, "centre" to those at its middle.
    """

    strides: tuple[Count, ...] = (8, 16, 32)
    channels: Count = 64
    depth: Count = 2
    num_candidates: Count = 300
    assignment: AssignmentName = "aligned"

    def __post_init__(self) -> None:
        if not self.strides:
            raise ValueError("strides must name at least one map")


class Head(nn.Module):
    """One map → class logits [B, positions, C] and raw boxes [B, positions, 4]."""

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


class FCOS(Detector):
    """See Detector."""

    def __init__(self, trunk: Trunk, options: Options, num_classes: int) -> None:
        super().__init__(trunk)
        maps = trunk.backbone.feature_maps
        self._levels = find_levels(maps, options.strides)
        self._strides = [maps[index].stride for index in self._levels]
        self._num_candidates = options.num_candidates
        self._assignment: AssignmentName = options.assignment
        self.pyramid = FeaturePyramid([maps[index] for index in self._levels], options.channels)
        self.heads = nn.ModuleList(Head(options.channels, options.depth, num_classes) for _ in self._levels)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps = self.features(image)
        logits, boxes, _ = self.predict(maps)
        scores = logits.sigmoid()
        best = scores.amax(dim=2).topk(min(self._num_candidates, scores.shape[1]), dim=1).indices.unsqueeze(2)
        kept_boxes = boxes.gather(1, best.expand(-1, -1, 4))
        kept_scores = scores.gather(1, best.expand(-1, -1, scores.shape[2]))
        return kept_boxes, kept_scores, self.backbone.pool(maps).float()

    def predict(self, maps: list[Tensor]) -> tuple[Tensor, Tensor, Positions]:
        """Class logits FP32 [B, A, C] and boxes FP32 [B, A, 4] in input pixels, at every position."""
        levels = self.pyramid([maps[index] for index in self._levels])
        answers = [head(level) for head, level in zip(self.heads, levels, strict=True)]
        logits = torch.cat([logits for logits, _ in answers], dim=1).float()
        raw = torch.cat([raw for _, raw in answers], dim=1).float()
        grids = [lay_grid(level, stride) for level, stride in zip(levels, self._strides, strict=True)]
        positions = Positions(*(torch.cat(parts) for parts in zip(*grids, strict=True)))
        strides = positions.strides.unsqueeze(1)
        middles = positions.centres + raw[..., :2] * strides
        halves = raw[..., 2:].clamp_max(MAX_LOG_SIZE).exp() * strides / 2
        return logits, torch.cat((middles - halves, middles + halves), dim=2), positions

    def losses(self, maps: list[Tensor], boxes: Tensor, class_ids: Tensor) -> dict[str, Tensor]:
        logits, guessed, positions = self.predict(maps)
        truth = Truth(boxes, class_ids)
        with torch.no_grad():
            assignment = assign(self._assignment, positions, Guess(logits.sigmoid(), guessed), truth)
        return dense_losses(logits, guessed, truth, assignment)


def lay_grid(level: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Centres [positions, 2] as (x, y) and strides [positions] of one map [B, C, H, W], row by row."""
    height, width = level.shape[2:]
    rows = (torch.arange(height, device=level.device, dtype=torch.float32) + 0.5) * stride
    columns = (torch.arange(width, device=level.device, dtype=torch.float32) + 0.5) * stride
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    centres = torch.stack((x.flatten(), y.flatten()), dim=1)
    return centres, torch.full((height * width,), float(stride), device=level.device)


def build(options: Options, trunk: Trunk, num_classes: int, image: ImageSpec) -> FCOS:
    """Convolutions take any picture size: `image` decides nothing here. Raises InvalidRecipe."""
    return FCOS(trunk, options, num_classes)
