"""What a segmenter's training minimises: cross-entropy of every pixel, and Dice for every class."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.data.annotation import IGNORED
from training.loss_config import SegmentationLoss


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
        counts = torch.bincount(masks.flatten(), minlength=IGNORED + 1)[: logits.shape[1]]
        if self.training:
            self.pixel_counts += counts
        known = masks != IGNORED
        classes = masks.long().where(known, 0)
        log_probabilities = functional.log_softmax(logits.float(), dim=1)
        log_right = log_probabilities.gather(1, classes.unsqueeze(1)).squeeze(1)
        weights = self._weights()[classes] * known
        loss = -(log_right * weights).sum() / weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)
        if self._config.dice_weight:
            given = (log_probabilities.exp() * known.unsqueeze(1)).sum(dim=(0, 2, 3))
            right = torch.zeros_like(given).index_add(0, classes.flatten(), (log_right.exp() * known).flatten())
            loss = loss + self._config.dice_weight * dice_loss(right, given, counts)
        return loss

    def _weights(self) -> Tensor:
        """Of every class [C]; what they are multiples of makes no difference."""
        if not self._config.class_balance:
            return self.class_weights
        shares = self.pixel_counts.clamp_min(1) / self.pixel_counts.sum().clamp_min(1)
        return shares.pow(-self._config.class_balance)


def dice_loss(right: Tensor, given: Tensor, counts: Tensor) -> Tensor:
    """One minus the soft Dice coefficient (Milletari et al., 2016, without its squares), averaged over the classes that
    occur. Of every class [C]: the probability that its own pixels give it, that all pixels give it, and how many pixels
    it has, over all pictures of the batch together."""
    dice = 2 * right / (given + counts).clamp_min(1)
    occurs = counts > 0
    return ((1 - dice) * occurs).sum() / occurs.sum().clamp_min(1)
