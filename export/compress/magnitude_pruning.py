"""Unstructured pruning: the smallest weights of all layers together become zero, and those left learn on.

Han et al., "Learning both weights and connections" (2015); the schedule over time is that of Zhu and Gupta, "To prune,
or not to prune" (2017): most weights go early, where many are superfluous, and ever fewer towards the end. What is zero
once stays zero.

Layers are learnt at scales of their own: where plain magnitudes are compared over all layers, one with small weights is
cut through long before another has lost any (a VGG on digits kept 18 % of its first dense layer and 0.5 % of its
convolutions, and was worth nothing). So a weight is weighed by its share of the squares of what would be left of its
layer: Lee et al., "Layer-adaptive sparsity for the magnitude-based pruning" (LAMP, 2021).

Zeros alone make no graph smaller or faster: they are the first step of a stored form that has no room for them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import lightning.pytorch as pl
import msgspec
import torch
from torch import Tensor

from export.compress.learning import FineTuning, Learning
from export.compress.masks import KeptZeros, Masks, prunable_weights
from export.compress.technique import Form, NetworkTechnique
from export.section import Share
from training.networks.network import Trainable

Weighing = Literal["adaptive", "plain"]
STEPS_BETWEEN = 20
"""Optimiser steps from one look at the weights to the next, at most: masks need not follow every one."""
MIN_LOOKS = 10
"""Looks at the weights while the sparsity grows, if there are as many steps."""


class MagnitudePruning(NetworkTechnique, frozen=True, kw_only=True, tag="magnitude_pruning"):
    """`sparsity`: the share of all weights of convolutions, linear layers and LSTMs that become zero, the smallest of
    the whole network, as `weighing` compares them: "adaptive", relative to what is left of their layer, or "plain". It
    grows from nothing over the first `growing` part of the fine-tuning. `least_kept`: share of its weights that every
    layer keeps, so that none is cut through."""

    makes: ClassVar[Form | None] = "zeros"
    undoes: ClassVar[frozenset[Form]] = frozenset({"shared values", "rounded weights"})
    sparsity: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.8
    weighing: Weighing = "adaptive"
    growing: Share = 0.7
    least_kept: Share = 0.005
    fine_tuning: FineTuning = FineTuning()

    def __post_init__(self) -> None:
        if self.sparsity + self.least_kept > 1:
            raise ValueError(
                f"sparsity ({self.sparsity}) leaves less than least_kept ({self.least_kept}) of the weights: lower one"
            )

    def compress(self, network: Trainable, learning: Learning) -> Trainable:
        learning.fine_tune(network, self.fine_tuning, [GradualZeros(network, self)])
        return network


class GradualZeros(KeptZeros):
    """Ever more zeros while a network learns, and at least one step with all of them."""

    def __init__(self, network: Trainable, config: MagnitudePruning) -> None:
        weights = prunable_weights(network)
        super().__init__(network, {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()})
        self._config = config
        self._last_look = -1

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: object) -> None:
        step, num_steps = trainer.global_step, int(trainer.estimated_stepping_batches)
        if step == self._last_look or not is_look(step, num_steps, self._config.growing):
            return
        self._last_look = step
        sparsity = sparsity_at(step, num_steps, self._config)
        self._masks = dict(keep_largest(self._weights, sparsity, self._config.least_kept, self._config.weighing))
        self.apply()


def growing_steps(num_steps: int, growing: float) -> int:
    """The step at which the sparsity has grown."""
    return min(num_steps - 1, math.floor(growing * num_steps))


def is_look(step: int, num_steps: int, growing: float) -> bool:
    """Are the weights looked at before this step?"""
    last = growing_steps(num_steps, growing)
    between = max(1, min(STEPS_BETWEEN, last // MIN_LOOKS))
    return step == last or (step < last and step % between == 0)


def sparsity_at(step: int, num_steps: int, config: MagnitudePruning) -> float:
    """The share of zeros at an optimiser step: quick at first, then ever slower."""
    last = growing_steps(num_steps, config.growing)
    return config.sparsity * (1 - (1 - step / last) ** 3) if step < last else config.sparsity


@torch.no_grad()
def keep_largest(weights: Mapping[str, Tensor], sparsity: float, least_kept: float, weighing: Weighing) -> Masks:
    """Masks that leave out exactly this share of all weights together, the smallest (of equal ones, the first)."""
    magnitudes = torch.cat([rank_largest_first(weight, least_kept, weighing) for weight in weights.values()])
    num_zeros = round(sparsity * len(magnitudes))
    kept = torch.ones_like(magnitudes, dtype=torch.bool)
    if num_zeros:
        threshold = magnitudes.kthvalue(num_zeros).values
        kept = magnitudes >= threshold
        equal = (magnitudes == threshold).nonzero().flatten()
        kept[equal[: num_zeros - int((~kept).sum())]] = False
    parts = torch.split(kept, [weight.numel() for weight in weights.values()])
    return {name: part.view_as(weight) for (name, weight), part in zip(weights.items(), parts, strict=True)}


def rank_largest_first(weight: Tensor, least_kept: float, weighing: Weighing) -> Tensor:
    """Magnitudes [numbers], in which the layer's own largest come before those of all layers."""
    magnitudes = weight.detach().abs().flatten()
    if weighing == "adaptive":
        magnitudes = relative_to_kept(magnitudes)
    num_kept = math.ceil(least_kept * len(magnitudes))
    magnitudes[magnitudes.topk(num_kept).indices] = math.inf
    return magnitudes


def relative_to_kept(magnitudes: Tensor) -> Tensor:
    """Of each number its square, as a share of the squares of all numbers of the layer that are not smaller."""
    descending, order = magnitudes.double().square().sort(descending=True)
    shares = descending / descending.cumsum(0).clamp(min=torch.finfo(torch.double).tiny)
    return torch.empty_like(magnitudes).index_copy_(0, order, shares.to(magnitudes.dtype))
