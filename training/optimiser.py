"""The optimiser and the learning rate over time."""

from __future__ import annotations

import math

import torch
from torch import nn

from training.networks.network import Trainable
from training.recipe import OptimiserConfig, ScheduleConfig


def build_optimiser(network: Trainable, config: OptimiserConfig) -> torch.optim.Optimizer:
    """Four groups: head and backbone, each with and without weight decay (none on biases and normalisation)."""
    groups = []
    backbone = [parameter for part in network.backbones() for parameter in part.parameters()]
    for parameters, factor in ((backbone, config.backbone_factor), (network.head_parameters(), 1.0)):
        for members, decay in (
            ([p for p in parameters if p.ndim > 1], config.weight_decay),
            ([p for p in parameters if p.ndim <= 1], 0.0),
        ):
            if members:
                groups.append({"params": members, "weight_decay": decay, "lr": config.learning_rate * factor})
    if config.name == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, nesterov=True, foreach=True)
    return torch.optim.AdamW(groups, betas=config.betas, foreach=True)


def learning_rate_factor(step: int, total_steps: int, config: ScheduleConfig) -> float:
    """What the learning rate is multiplied by at an optimiser step: linear warm-up, then half a cosine."""
    warmup_steps = config.warmup_fraction * total_steps
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    progress = min(1.0, (step - warmup_steps) / (total_steps - warmup_steps))
    return config.final_factor + (1 - config.final_factor) * 0.5 * (1 + math.cos(math.pi * progress))


def freeze_normalisation(part: nn.Module) -> None:
    """Batch statistics of a frozen backbone must not drift: they belong to its weights."""
    for layer in part.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.eval()
