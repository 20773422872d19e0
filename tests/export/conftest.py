"""A small classifier of colours with data, exported once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from export.recipe import ExportRecipe, load_export_recipe
from export.subject import Data, Subject
from export.torch_subject import TorchGraph
from registry.manifest import Lineage
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


@pytest.fixture(scope="session")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """A trained model whose float32 graph was exported once; `write_graph` hands out copies."""
    torch.manual_seed(0)
    net, training = TinyNet().eval(), [colour(seed) for seed in range(400)]
    fit_head(net, training)
    graph = TorchGraph(net, SPEC.image)
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    graph.write(path, 20)

    def write_graph(target: Path, opset: int) -> None:
        target.write_bytes(path.read_bytes())

    return Subject(
        name="colours",
        task_spec=SPEC,
        reference=graph.run,
        write_graph=write_graph,
        data=Data(training, [colour(seed) for seed in range(1000, 1300)], [colour(s) for s in range(2000, 2100)]),
        lineage=Lineage(created_at="2026-01-01T00:00:00Z", source="test"),
    )


@pytest.fixture(scope="session")
def recipe() -> ExportRecipe:
    """The quick recipe on very little data."""
    return load_export_recipe(
        "quick",
        ["num_calibration=64", "num_verify=200", "num_profile=350", "num_golden=12", "latency_seconds=0.01"],
    )
