"""An anchor-free one-stage detector in the line of FCOS (Tian et al., 2019) and YOLOX (Ge et al., 2021).

Each position of a pyramid over the backbone says one box, and a score for every class that tells class and quality of
the box at once.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import torch
from torch import Tensor

from tasks.image import ImageSpec
from training.detection.assignment import AssignmentName, Guess, Truth, assign
from training.detection.losses import dense_losses
from training.networks import architecture
from training.networks.config import Building
from training.networks.dense import DenseGuess, DenseHead, best_candidates
from training.networks.detector import Detector
from training.networks.network import Trunk
from training.networks.shrink import scale_width

BUILDS: Building = "detector"
Count = Annotated[int, msgspec.Meta(ge=1)]


class Options(architecture.Options, frozen=True, kw_only=True):
    """`strides`: the maps of the backbone that are searched. `channels` and `depth`: width of pyramid and head, and
    3×3 convolutions in each branch of the head. `num_candidates`: how many boxes leave the graph, at most.

    `assignment`: "aligned" gives an object to the positions that do best at it, "centre" to those at its middle.
    """

    strides: Annotated[tuple[Count, ...], msgspec.Meta(min_length=1)] = (8, 16, 32)
    channels: Count = 64
    depth: Count = 2
    num_candidates: Count = 300
    assignment: AssignmentName = "aligned"


class FCOS(Detector):
    """See Detector."""

    def __init__(self, trunk: Trunk, options: Options, num_classes: int) -> None:
        super().__init__(trunk)
        maps = trunk.backbone.feature_maps
        self.head = DenseHead(maps, options.strides, options.channels, options.depth, num_classes)
        self._num_candidates = options.num_candidates
        self._assignment: AssignmentName = options.assignment

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps = self.features(image)
        guess = self.guess(maps)
        boxes, scores = best_candidates(guess.boxes, guess.logits.sigmoid(), self._num_candidates)
        return boxes, scores, self.backbone.pool(maps).float()

    def guess(self, maps: list[Tensor]) -> DenseGuess:
        guess: DenseGuess = self.head(maps)
        return guess

    def losses(self, guess: DenseGuess, boxes: Tensor, class_ids: Tensor) -> dict[str, Tensor]:
        truth = Truth(boxes, class_ids)
        with torch.no_grad():
            said = Guess(guess.logits.sigmoid(), guess.boxes)
            assignment = assign(self._assignment, guess.positions, said, truth)
        return dense_losses(guess.logits, guess.boxes, truth, assignment)


def build(options: Options, trunk: Trunk, num_classes: int, image: ImageSpec) -> FCOS:
    """Convolutions take any picture size: `image` decides nothing here. Raises InvalidRecipe."""
    return FCOS(trunk, options, num_classes)


def shrink(options: Options, factor: float) -> Options:
    """See training/networks/shrink.py."""
    return msgspec.structs.replace(options, channels=scale_width(options.channels, factor))
