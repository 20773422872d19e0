"""The atrous pyramid over backbones of any depth, and as a graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.image import ImageSpec
from tests.segmenter_graphs import assert_graph_answers_alike
from training.models.deeplab import choose_map
from training.networks.build import build_head
from training.networks.config import ModelConfig
from training.networks.network import FeatureMap, Network

IMAGE = ImageSpec(height=20, width=28)
MAPS = tuple(FeatureMap(channels=8, stride=stride) for stride in (2, 4, 8))


def build_deeplab(**options: Any) -> Network:
    """Over a backbone of two maps; neither side of the picture is a power of two."""
    backbone = ModelConfig(architecture="resnet", options={"depths": [1, 1], "widths": [8, 12], "stem": "halve"})
    torch.manual_seed(0)
    return build_head(ModelConfig(architecture="deeplab", options=options, backbone=backbone), "segmenter", 5, IMAGE)


def test_every_pixel_gets_a_label() -> None:
    network = build_deeplab(width=8, rates=[1, 3], outline_width=4).eval()
    mask, confidence, embedding = network(torch.zeros(2, 20, 28, 3, dtype=torch.uint8))
    assert mask.shape == (2, 20, 28)
    assert confidence.shape == (2, 5)
    assert embedding.shape == (2, 12)


def test_a_batch_of_one_picture_can_be_learnt_from() -> None:
    network = build_deeplab(width=8, outline_width=4)
    network.segment(torch.randint(0, 256, (1, 20, 28, 3), dtype=torch.uint8))[0].square().sum().backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize(("stride", "index"), [(1, 0), (2, 0), (4, 1), (7, 1), (16, 2)])
def test_outlines_come_from_the_map_of_the_stride_asked_for(stride: int, index: int) -> None:
    assert choose_map(MAPS, stride) == index


def test_the_graph_answers_as_the_network_does(tmp_path: Path) -> None:
    network = build_deeplab(width=8, rates=[1, 2], outline_width=4)
    assert_graph_answers_alike(network, IMAGE, tmp_path / "deeplab.onnx")
