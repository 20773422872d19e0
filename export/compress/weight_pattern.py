"""What steps have established in the weights of a network, and what keeps it while the network learns on.

Pruning leaves zeros and clustering leaves weights that share a value. Whatever lets such a network learn afterwards
(other losses, quantization to come) must lose neither, so that steps can be combined in any order that makes sense:
the gradient of weights that share a value is the mean of theirs, and zeros have none. That is the gradient projected
onto the networks with this pattern.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

MIN_ZEROS = 0.01
"""The share of zeros from which on a tensor counts as pruned. Training alone leaves none."""
MAX_SHARED_VALUES = 256
"""More different values than this, zero aside, are not shared ones."""
SAMPLE_SIZE = 8_192


class WeightPattern(Protocol):
    """What holds in one tensor."""

    def project(self, gradient: Tensor) -> None:
        """Takes out of a gradient, in place, what would break it."""
        ...

    def restore(self, weight: Tensor) -> None:
        """Makes it hold again, in place, to the last bit."""
        ...


@dataclass(frozen=True)
class Zeros:
    """`zeros` BOOL, in the tensor's shape."""

    zeros: Tensor

    def project(self, gradient: Tensor) -> None:
        gradient.masked_fill_(self.zeros, 0)

    def restore(self, weight: Tensor) -> None:
        weight.masked_fill_(self.zeros, 0)


@dataclass(frozen=True)
class SharedValues:
    """`owner` INT64 [weights] says which value a weight has, `counts` [values] how many have it, and `first` INT64
    [values] names one of these. `is_zero` BOOL [values]."""

    owner: Tensor
    counts: Tensor
    first: Tensor
    is_zero: Tensor

    def project(self, gradient: Tensor) -> None:
        sums = gradient.new_zeros(len(self.counts)).index_add_(0, self.owner, gradient.flatten())
        means = (sums / self.counts).masked_fill_(self.is_zero, 0)
        gradient.copy_(means[self.owner].view_as(gradient))

    def restore(self, weight: Tensor) -> None:
        values = weight.flatten()[self.first].masked_fill_(self.is_zero, 0)
        weight.copy_(values[self.owner].view_as(weight))


@torch.no_grad()
def find_pattern(weight: Tensor) -> WeightPattern | None:
    """What there is to keep in a tensor; None where all its numbers are free. Biases and the like (one axis) are."""
    if weight.ndim < 2:
        return None
    if has_shared_values(weight):
        return find_shared_values(weight, torch.zeros_like(weight, dtype=torch.int64))
    if has_shared_values_by_channel(weight):
        channels = torch.arange(len(weight), device=weight.device).view(-1, *(1 for _ in weight.shape[1:]))
        return find_shared_values(weight, channels.expand_as(weight))
    zeros = weight == 0
    return Zeros(zeros) if int(zeros.sum()) >= MIN_ZEROS * weight.numel() else None


def find_shared_values(weight: Tensor, part: Tensor) -> SharedValues:
    """`part` INT64, in the weight's shape: only weights of one part share a value."""
    values, owner = torch.unique(weight.flatten(), return_inverse=True)
    keys, owner, counts = torch.unique(part.flatten() * len(values) + owner, return_inverse=True, return_counts=True)
    places = torch.arange(weight.numel(), device=weight.device)
    first = places.new_zeros(len(keys)).scatter_(0, owner, places)
    return SharedValues(owner, counts, first, values[keys % len(values)] == 0)


@torch.no_grad()
def has_shared_values(weight: Tensor) -> bool:
    """Does a tensor have but few different values, zero aside, and at least two weights for each?"""
    numbers = weight.flatten()
    # Most tensors have as many values as weights, which a part of them shows without sorting the rest.
    if num_values(numbers[:SAMPLE_SIZE]) > MAX_SHARED_VALUES:
        return False
    return 2 * num_values(numbers) <= min(2 * MAX_SHARED_VALUES, int((numbers != 0).sum()))


def has_shared_values_by_channel(weight: Tensor) -> bool:
    """Do the weights of each output channel share values, at least two of them each? So it is where normalisation was
    multiplied into weights that shared theirs."""
    channels = weight.flatten(1)
    return all(2 * num_values(channel) <= int((channel != 0).sum()) for channel in channels)


def num_values(numbers: Tensor) -> int:
    """Different numbers, zero aside."""
    return len(torch.unique(numbers[numbers != 0]))


class KeptPatterns(pl.Callback):  # type: ignore[misc]
    """Keeps what is established in a network while it learns."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        found = ((weight, find_pattern(weight)) for weight in trained_weights(pl_module))
        self._patterns = [(weight, pattern) for weight, pattern in found if pattern is not None]

    def on_before_optimizer_step(self, trainer: pl.Trainer, *arguments: object) -> None:
        for weight, pattern in self._patterns:
            if weight.grad is not None:
                pattern.project(weight.grad)

    @torch.no_grad()
    def on_train_batch_end(self, trainer: pl.Trainer, *arguments: object) -> None:
        # Momentum and rounding bring back what gradients no longer ask for.
        for weight, pattern in self._patterns:
            pattern.restore(weight)


def trained_weights(module: pl.LightningModule) -> list[nn.Parameter]:
    """Those of a learner's network that change."""
    network: nn.Module = module.network
    return [weight for weight in network.parameters() if weight.requires_grad]
