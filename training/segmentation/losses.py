"""What a segmenter's training minimises: cross-entropy of every pixel, and Dice for every class."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.data.annotation import IGNORED
from training.recipe import SegmentationLoss


class MaskLoss(nn.Module):
    """See SegmentationLoss for the two parts. IGNORED pixels have no part in either."""

    def __init__(self, config: SegmentationLoss, num_classes: int) -> None:
        super().__init__()
        self._config = config
        self.register_buffer("class_weights", torch.tensor(config.class_weights or (1.0,) * num_classes))
        # Weights by frequency follow the pixels seen so far: a few batches say enough, and none is read twice.
        self.register_buffer("pixel_counts", torch.zeros(num_classes, dtype=torch.int64))
        self.class_weights: Tensor
        self.pixel_counts: Tensor

    def forward(self, logits: Tensor, masks: Tensor) -> Tensor:
        """logits [B, C, H, W], masks uint8 [B, H, W] → a scalar, 0 where every pixel is IGNORED."""
        classes = masks.long()
        counts = torch.bincount(classes.flatten(), minlength=IGNORED + 1)[: logits.shape[1]]
        if self.training:
            self.pixel_counts += counts
        log_probabilities = functional.log_softmax(logits.float(), dim=1)
        loss = cross_entropy(log_probabilities, classes, self._weights())
        if self._config.dice_weight:
            loss = loss + self._config.dice_weight * dice_loss(log_probabilities.exp(), classes, counts)
        return loss

    def _weights(self) -> Tensor:
        """Of every class [C]; what they are multiples of makes no difference."""
        if not self._config.class_balance:
            return self.class_weights
        shares = self.pixel_counts.clamp_min(1) / self.pixel_counts.sum().clamp_min(1)
        return shares.pow(-self._config.class_balance)


def cross_entropy(log_probabilities: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    """[B, C, H, W], int64 [B, H, W], [C] → the weighted mean over the pixels that are known."""
    total = functional.nll_loss(log_probabilities, classes, weights, ignore_index=IGNORED, reduction="sum")
    known = classes != IGNORED
    return total / weights[classes[known]].sum().clamp_min(torch.finfo(weights.dtype).tiny)


def dice_loss(probabilities: Tensor, classes: Tensor, counts: Tensor) -> Tensor:
    """One minus the soft Dice coefficient (Milletari et al., 2016, without its squares), over all pixels of the batch
    together, averaged over the classes that it shows. probabilities [B, C, H, W], classes int64 [B, H, W], counts of
    their pixels [C]."""
    known = (classes != IGNORED).unsqueeze(1)
    named = classes.unsqueeze(1).where(known, 0)
    seen = probabilities * known
    right = torch.zeros_like(seen).scatter(1, named, seen.gather(1, named)).sum(dim=(0, 2, 3))
    dice = 2 * right / (seen.sum(dim=(0, 2, 3)) + counts).clamp_min(1)
    shown = counts > 0
    return ((1 - dice) * shown).sum() / shown.sum().clamp_min(1)
