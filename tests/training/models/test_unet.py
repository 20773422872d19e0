"""The U-Net over backbones of any depth, and as a graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.errors import InvalidRecipe
from tasks.image import ImageSpec
from tests.segmenter_graphs import assert_graph_answers_alike
from training.networks.build import build_head
from training.networks.config import ModelConfig
from training.networks.network import Network

IMAGE = ImageSpec(height=20, width=28)


def build_unet(stem: str = "halve", **options: Any) -> Network:
    """Over a backbone of two maps; neither side of the picture is a power of two."""
    backbone = ModelConfig(architecture="resnet", options={"depths": [1, 1], "widths": [8, 12], "stem": stem})
    torch.manual_seed(0)
    return build_head(ModelConfig(architecture="unet", options=options, backbone=backbone), "segmenter", 5, IMAGE)


@pytest.mark.parametrize("stem", ["small", "halve", "imagenet"])
@pytest.mark.parametrize("detail_width", [0, 4])
def test_every_pixel_gets_a_label_whatever_the_finest_map(stem: str, detail_width: int) -> None:
    network = build_unet(stem, widths=[6], depth=2, detail_width=detail_width).eval()
    mask, confidence, embedding = network(torch.zeros(2, 20, 28, 3, dtype=torch.uint8))
    assert mask.shape == (2, 20, 28)
    assert mask.dtype == torch.uint8
    assert confidence.shape == (2, 5)
    assert embedding.shape == (2, 12)


def test_all_weights_take_part_in_the_logits() -> None:
    network = build_unet(widths=[6], detail_width=4)
    network.segment(torch.randint(0, 256, (2, 20, 28, 3), dtype=torch.uint8))[0].square().sum().backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None] == []


def test_one_width_for_every_step_up() -> None:
    with pytest.raises(InvalidRecipe, match="give 1, finest first"):
        build_unet(widths=[6, 6])


def test_the_graph_answers_as_the_network_does(tmp_path: Path) -> None:
    assert_graph_answers_alike(build_unet(widths=[6], depth=1, detail_width=4), IMAGE, tmp_path / "unet.onnx")
