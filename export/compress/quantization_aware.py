"""Quantization-aware training: a network learns on with its weights and activations rounded to bytes.

It makes no int8 graph: the step int8_static after it does, and finds weights there that already stand where bytes can
hold them, and activations that the network has learnt to read in 256 steps. Worth its time where int8_static alone
loses too much, as in networks of depthwise convolutions.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import lightning.pytorch as pl
import torch
from torch import nn

from export.compress.fake_quantization import fake_quantized
from export.compress.fold_normalisation import fold_normalisation
from export.compress.learning import FineTuning, Learning
from export.compress.technique import Form, NetworkTechnique
from tasks.task import open_task
from training.networks.network import Trainable
from training.recipe import TaskName

EXAMPLE_BATCH = 2


class QuantizationAware(NetworkTechnique, frozen=True, kw_only=True, tag="quantization_aware"):
    """`weight_bits`: 7 for an int8_static that keeps its `reduce_range`, 8 for one without."""

    makes: ClassVar[Form | None] = "rounded weights"
    undoes: ClassVar[frozenset[Form]] = frozenset({"rounded weights"})
    weight_bits: Literal[7, 8] = 7
    fine_tuning: FineTuning = FineTuning(learning_rate_factor=0.05)

    def find_obstacle(self, task: TaskName) -> str:
        if task not in ("captioning", "text_generation"):
            return ""
        return (
            "it trains for activations in fixed ranges, and those of decoders get their scales token by token; take "
            "int8_dynamic, which needs no training"
        )

    def compress(self, network: Trainable, learning: Learning) -> Trainable:
        image = open_task(learning.spec).image_spec
        noise = torch.randint(256, (EXAMPLE_BATCH, image.height, image.width, 3), dtype=torch.uint8)
        fold_normalisation(network, noise)
        layers = [layer for layer in network.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
        with fake_quantized(layers, self.weight_bits):
            learning.fine_tune(network, self.fine_tuning, [FrozenStatistics()])
        return network


class FrozenStatistics(pl.Callback):  # type: ignore[misc]
    """Normalisation that could not be folded keeps the statistics it has, as it will when it serves."""

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: object) -> None:
        for layer in pl_module.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.eval()
