"""A two-stage detector in the line of Faster R-CNN (Ren et al., 2015): first where something is, then what it is.

The first stage is the dense head of the one-stage detector with a single class, "anything", in place of anchors. The
second looks at a crop of the map under each of its best boxes, names it and frames it better. Proposals are a fixed
number and not suppressed, so that the graph needs no operation of its own: duplicates go at the end, with all others.
"""

from __future__ import annotations

import math
from typing import Annotated

import msgspec
import torch
from torch import Tensor, nn

from tasks.image import ImageSpec
from training.detection.assignment import Guess, Truth, assign_aligned, assign_overlapping
from training.detection.losses import dense_losses
from training.networks import architecture
from training.networks.config import Building
from training.networks.dense import FIRST_SCORE, DenseGuess, DenseHead, best_candidates
from training.networks.detector import Detector
from training.networks.network import Trunk
from training.networks.roi import crop_boxes
from training.networks.shrink import scale_width

BUILDS: Building = "detector"
Count = Annotated[int, msgspec.Meta(ge=1)]

MAX_LOG_STRETCH = 2.0
"""The second stage makes a box at most e² times larger or smaller."""


class Options(architecture.Options, frozen=True, kw_only=True):
    """`strides`, `channels` and `depth` as of "fcos": those of the first stage. `num_candidates`: boxes that the second
    stage looks at. `crop_size`: cells of a crop, in each direction; `hidden`: width of the two layers behind it."""

    strides: Annotated[tuple[Count, ...], msgspec.Meta(min_length=1)] = (8, 16, 32)
    channels: Count = 64
    depth: Count = 1
    num_candidates: Count = 64
    crop_size: Count = 5
    hidden: Count = 128


class SecondStage(nn.Module):
    """Crops [B, K, C, size, size] → class logits [B, K, classes] and corrections [B, K, 4]."""

    def __init__(self, options: Options, num_classes: int) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Linear(options.channels * options.crop_size**2, options.hidden),
            nn.LayerNorm(options.hidden),
            nn.ReLU(inplace=True),
            nn.Linear(options.hidden, options.hidden),
            nn.ReLU(inplace=True),
        )
        self.classify = nn.Linear(options.hidden, num_classes)
        self.correct = nn.Linear(options.hidden, 4)
        nn.init.constant_(self.classify.bias, -math.log((1 - FIRST_SCORE) / FIRST_SCORE))
        nn.init.normal_(self.correct.weight, std=0.001)
        nn.init.zeros_(self.correct.bias)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.look(crops.flatten(2))
        return self.classify(seen).float(), self.correct(seen).float()


class FasterRCNN(Detector):
    """See Detector."""

    def __init__(self, trunk: Trunk, options: Options, num_classes: int, image: ImageSpec) -> None:
        super().__init__(trunk)
        maps = trunk.backbone.feature_maps
        self.first = DenseHead(maps, options.strides, options.channels, options.depth, num_classes=1)
        self.second = SecondStage(options, num_classes)
        self._options = options
        self._image = image

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps = self.features(image)
        guess = self.guess(maps)
        logits, boxes = self.look_again(guess, self.propose(guess))
        boxes, scores = best_candidates(boxes, logits.sigmoid(), self._options.num_candidates)
        return boxes, scores, self.backbone.pool(maps).float()

    def guess(self, maps: list[Tensor]) -> DenseGuess:
        """Of the first stage."""
        guess: DenseGuess = self.first(maps)
        return guess

    def propose(self, guess: DenseGuess) -> Tensor:
        """The boxes [B, K, 4] that most probably hold something."""
        return best_candidates(guess.boxes, guess.logits, self._options.num_candidates)[0]

    def look_again(self, guess: DenseGuess, proposals: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits [B, K, C] and corrected boxes [B, K, 4] of proposals."""
        size = self._options.crop_size
        crops = crop_boxes(guess.levels[0], proposals, self._image.height, self._image.width, size)
        logits, raw = self.second(crops)
        sides = (proposals[..., 2:] - proposals[..., :2]).clamp_min(1)
        middles = (proposals[..., :2] + proposals[..., 2:]) / 2 + raw[..., :2] * sides
        halves = sides * raw[..., 2:].clamp(-MAX_LOG_STRETCH, MAX_LOG_STRETCH).exp() / 2
        return logits, torch.cat((middles - halves, middles + halves), dim=2)

    def losses(self, guess: DenseGuess, boxes: Tensor, class_ids: Tensor) -> dict[str, Tensor]:
        truth = Truth(boxes, class_ids)
        anything = Truth(boxes, class_ids.clamp_max(0))
        with torch.no_grad():
            assignment = assign_aligned(guess.positions, Guess(guess.logits.sigmoid(), guess.boxes), anything)
        first = dense_losses(guess.logits, guess.boxes, anything, assignment)
        # The true boxes are proposals too: a first stage that has learnt nothing yet would show the second no object.
        proposals = torch.cat((self.propose(guess).detach(), boxes), dim=1)
        logits, corrected = self.look_again(guess, proposals)
        with torch.no_grad():
            assignment = assign_overlapping(proposals, corrected, truth)
        second = dense_losses(logits, corrected, truth, assignment)
        return {f"first_{name}": loss for name, loss in first.items()} | second


def build(options: Options, trunk: Trunk, num_classes: int, image: ImageSpec) -> FasterRCNN:
    """Raises InvalidRecipe."""
    return FasterRCNN(trunk, options, num_classes, image)


def shrink(options: Options, factor: float) -> Options:
    """See training/networks/shrink.py."""
    return msgspec.structs.replace(
        options, channels=scale_width(options.channels, factor), hidden=scale_width(options.hidden, factor)
    )
