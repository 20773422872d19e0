"""Unstructured pruning: the smallest weights of all layers together become zero, and those left learn on.

Han et al., "Learning both Weights and Connections" (2015); the schedule over time is that of Zhu and Gupta, "To prune,
or not to prune" (2017): most weights go early, where many are superfluous, and ever fewer towards the end.
"""

from __future__ import annotations

from collections.abc import Mapping

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from export.compress.learning import FineTuning, Learning
from export.compress.technique import NetworkTechnique
from export.section import Share
from training.networks.network import Trainable

WEIGHTED = (nn.Conv2d, nn.Linear)
STEPS_BETWEEN = 20
"""Optimiser steps from one look at the weights to the next: masks need not follow every one."""


class Mask(nn.Module):
    """Keeps some weights and makes zeros of the others; what is masked gets no gradient."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("kept", torch.ones_like(weight))
        self.kept: Tensor

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.kept


class MagnitudePruning(NetworkTechnique, frozen=True, kw_only=True, tag="magnitude_pruning"):
    """`sparsity`: the share of all weights of convolutions and linear layers that become zero, the smallest of the
    whole network. It grows from nothing over the first `growing` part of the fine-tuning."""

    sparsity: Share = 0.8
    growing: Share = 0.7
    fine_tuning: FineTuning = FineTuning()

    def compress(self, network: Trainable, learning: Learning) -> Trainable:
        masked = mask_layers(network)
        learning.fine_tune(network, self.fine_tuning, [GradualMasks(masked, self.sparsity, self.growing)])
        for layer in masked.values():
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
        return network


class GradualMasks(pl.Callback):  # type: ignore[misc]
    """Masks more and more while a network learns."""

    def __init__(self, masked: Mapping[str, nn.Module], sparsity: float, growing: float) -> None:
        self._masked, self._sparsity, self._growing = masked, sparsity, growing

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: object) -> None:
        progress = trainer.global_step / (self._growing * trainer.estimated_stepping_batches)
        if progress < 1 and trainer.global_step % STEPS_BETWEEN == 0:
            set_masks(self._masked, self._sparsity * (1 - (1 - progress) ** 3))
        elif progress >= 1 and not self._is_final:
            self._finish()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._is_final = False

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self._is_final:
            self._finish()

    def _finish(self) -> None:
        set_masks(self._masked, self._sparsity)
        self._is_final = True


def mask_layers(network: Trainable) -> dict[str, nn.Module]:
    """Every convolution and linear layer gets a mask over its weight. Name → layer."""
    layers: dict[str, nn.Module] = {}
    for name, layer in list(network.named_modules()):
        if isinstance(layer, WEIGHTED):
            parametrize.register_parametrization(layer, "weight", Mask(layer.weight))
            layers[name] = layer
    return layers


@torch.no_grad()
def set_masks(masked: Mapping[str, nn.Module], sparsity: float) -> None:
    """Masks the smallest weights of all layers together."""
    magnitudes = torch.cat([original(layer).abs().flatten() for layer in masked.values()])
    num_pruned = round(sparsity * len(magnitudes))
    if num_pruned == 0:
        return
    threshold = magnitudes.kthvalue(num_pruned).values
    for layer in masked.values():
        mask = layer.parametrizations.weight[0]  # type: ignore[union-attr, index]
        assert isinstance(mask, Mask)
        mask.kept.copy_(original(layer).abs() > threshold)


def original(layer: nn.Module) -> Tensor:
    """The weight behind its mask."""
    weight: Tensor = layer.parametrizations.weight.original  # type: ignore[union-attr, assignment]
    return weight
