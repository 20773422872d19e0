"""A small classifier of colours and its data: what the tests of the export work on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from tasks.classification import Classification, ClassificationSpec
from tasks.image import ImageSpec
from tests.handmade import LABELS, encoded, picture

SPEC = ClassificationSpec(labels=LABELS, image=ImageSpec(height=32, width=32))


class Colour(NamedTuple):
    """A picture of `tests.handmade` with the corner of the colour cube that it lies nearest to."""

    payload: bytes
    target: int


def colour(seed: int) -> Colour:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]) * 255.0
    mean = picture(seed).reshape(-1, 3).mean(axis=0)
    return Colour(encoded(seed, ("JPEG", "PNG")[seed % 2]), int(((corners - mean) ** 2).sum(axis=1).argmin()))


class TinyNet(nn.Module):
    """Random convolutions under a linear head: enough layers for quantization to have something to do."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 4, stride=4), nn.ReLU(), nn.Conv2d(16, 24, 3, stride=2), nn.ReLU()
        )
        self.head = nn.Linear(24, len(LABELS))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        embedding = self.features((image.permute(0, 3, 1, 2).float() - 127.5) / 64).mean((2, 3))
        return self.head(embedding), embedding


def images_of(examples: list[Colour]) -> np.ndarray:
    """uint8 [N, 32, 32, 3]."""
    task = Classification(SPEC)
    return np.stack([task.preprocess(task.sample_from_bytes(each.payload))["image"] for each in examples])


def fit_head(net: TinyNet, examples: list[Colour]) -> None:
    """Ridge regression on the frozen features: training without an epoch."""
    with torch.no_grad():
        _, embedding = net(torch.from_numpy(images_of(examples)))
        inputs = torch.cat([embedding, torch.ones(len(examples), 1)], 1).double()
        wanted = 10 * nn.functional.one_hot(torch.tensor([e.target for e in examples]), len(LABELS)).double()
        solved = torch.linalg.solve(inputs.T @ inputs + 1e-3 * torch.eye(25), inputs.T @ wanted).float()
        net.head.weight.copy_(solved[:-1].T)
        net.head.bias.copy_(solved[-1])
