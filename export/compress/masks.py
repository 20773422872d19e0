"""Weights that are zero and stay so: which they are, and how a network learns on around them."""

from __future__ import annotations

from collections.abc import Mapping

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from training.networks.network import Trainable

Masks = Mapping[str, Tensor]
"""Name of a weight → BOOL of its shape: true where it may be other than zero."""


def prunable_weights(network: nn.Module) -> dict[str, nn.Parameter]:
    """Name → weight that may have zeros: of convolutions, linear layers and LSTMs.

    Embeddings are looked up, not multiplied, and a head that is tied to them goes with them. Depthwise convolutions
    hold few weights and need them all (Zhu and Gupta, "To prune, or not to prune", 2017)."""
    found: dict[str, nn.Parameter] = {}
    looked_up = {id(layer.weight) for layer in network.modules() if isinstance(layer, nn.Embedding)}
    for prefix, layer in network.named_modules():
        is_dense = isinstance(layer, (nn.Linear, nn.LSTM)) or (isinstance(layer, nn.Conv2d) and not is_depthwise(layer))
        if is_dense:
            found |= {
                f"{prefix}.{name}".lstrip("."): weight
                for name, weight in layer.named_parameters(recurse=False)
                if weight.ndim > 1 and id(weight) not in looked_up
            }
    return found


def is_depthwise(layer: nn.Conv2d) -> bool:
    """Does each output read a single channel of several?"""
    return layer.groups > 1 and layer.groups == layer.in_channels


class KeptZeros(pl.Callback):  # type: ignore[misc]
    """While a network learns, what its masks leave out stays zero: it gets no gradient, and no step moves it."""

    def __init__(self, network: Trainable, masks: Masks) -> None:
        self._weights = {name: network.get_parameter(name) for name in masks}
        self._masks = dict(masks)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._masks = {name: mask.to(self._weights[name].device) for name, mask in self._masks.items()}
        self.apply()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        # Before clipping: what can not move must not count in the norm of what can.
        for name, mask in self._masks.items():
            gradient = self._weights[name].grad
            if gradient is not None:
                gradient.masked_fill_(~mask, 0)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: object) -> None:
        # An optimiser with momentum still moves what got its last gradient a while ago.
        self.apply()

    @torch.no_grad()
    def apply(self) -> None:
        """Makes zeros of all that the masks leave out."""
        for name, mask in self._masks.items():
            self._weights[name].masked_fill_(~mask, 0)
