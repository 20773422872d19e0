"""A segmenter: what every architecture that names each pixel offers to training, evaluation and export alike."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from training.networks.network import Network


class Segmenter(Network):
    """image [B, H, W, 3], uint8 or float of 0…255 → (mask uint8 [B, H, W], confidence FP32 [B, C], embedding [B, D]).

    The mask holds the most probable class of each pixel; confidence its mean probability over the pixels of each
    class, 0 for a class without any: one byte per pixel leaves the graph instead of C floats.
    """

    output_names: ClassVar[tuple[str, ...]] = ("mask", "confidence", "embedding")

    def segment(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(logits [B, C, H, W] at the size of the input, embedding [B, D])."""
        pixels = self.normalise(image)
        maps = self.backbone.features(pixels)
        return self.label_pixels(maps, pixels), self.backbone.pool(maps)

    def label_pixels(self, maps: list[Tensor], pixels: Tensor) -> Tensor:
        """The backbone's maps, and normalised pixels [B, 3, H, W] → logits [B, C, H, W]."""
        raise NotImplementedError

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, embedding = self.segment(image)
        mask, confidence = name_pixels(logits)
        return mask, confidence, embedding.float()


def name_pixels(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [B, C, H, W] → the mask uint8 [B, H, W] and the confidence FP32 [B, C] of a Segmenter."""
    best, mask = functional.softmax(logits.float(), dim=1).max(dim=1)
    chosen = mask.unsqueeze(1) == torch.arange(logits.shape[1], device=mask.device).view(1, -1, 1, 1)
    num_pixels = chosen.sum(dim=(2, 3))
    confidence = (chosen * best.unsqueeze(1)).sum(dim=(2, 3)) / num_pixels.clamp_min(1)
    return mask.to(torch.uint8), confidence
