"""Channels that leave a network that sees pictures: everywhere at once, and never from its outputs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from export.compress.learning import Learning
from export.compress.picture_channels import PictureChannels
from tasks.errors import InvalidRecipe
from tests.tiny_learning import BACKBONE, learning_of
from training.networks.network import Network
from training.recipe import TaskName

TWO_STAGES = {
    "architecture": "faster_rcnn",
    "options": {"strides": [4, 8], "channels": 8, "depth": 1, "num_candidates": 20, "hidden": 16},
    "backbone": BACKBONE,
}
DEEPLAB = {"architecture": "deeplab", "options": {"width": 8, "outline_width": 8}, "backbone": BACKBONE}
VGG = {"architecture": "vgg", "options": {"depths": [2, 2], "widths": [8, 16], "hidden": [16]}}
MOBILE = {"architecture": "mobilenet", "options": {"depths": [1, 2], "widths": [8, 16], "stem_width": 8}}
TINY_VIT = {
    "architecture": "auto_backbone",
    "options": {
        "model_type": "vit",
        "config": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16},
    },
}


def network_of(learning: Learning) -> Network:
    network = copy.deepcopy(learning.trained)
    assert isinstance(network, Network)
    return network


def kill(network: Network, convolution: str, normalisation: str, channels: list[int]) -> None:
    """Channels that always answer zero."""
    with torch.no_grad():
        network.get_parameter(f"{convolution}.weight")[channels] = 0
        network.get_parameter(f"{normalisation}.bias")[channels] = 0


@pytest.mark.parametrize(
    ("model", "inside", "normalisation", "reader"),
    [
        ({}, "backbone.blocks.1.body.0", "backbone.blocks.1.body.1", "backbone.blocks.1.body.3"),
        # Each channel of the last map has as many inputs of the dense layer as the map has positions.
        (VGG, "backbone.stages.1.1.0", "backbone.stages.1.1.1", "backbone.dense.0.0"),
    ],
)
def test_channels_that_say_nothing_leave_without_a_trace(
    model: dict[str, Any], inside: str, normalisation: str, reader: str, tmp_path: Path
) -> None:
    learning = learning_of("classification", tmp_path, **model)
    network, image = network_of(learning), torch.randint(0, 256, (2, 16, 16, 3)).float()
    kill(network, inside, normalisation, [1, 4, 11])
    with torch.no_grad():
        before = network(image)[0]
    pictures = PictureChannels(network, learning.recipe.image_spec, 2, "whole")
    group = next(group for group in pictures.groups() if group.name == inside)
    group.remove([1, 4, 11])
    pictures.check()
    with torch.no_grad():
        torch.testing.assert_close(network(image)[0], before)
    before_it, behind = (network.get_parameter(f"{name}.weight").shape for name in (inside, reader))
    assert before_it[0] == 13
    assert behind[1] % 13 == 0


@pytest.mark.parametrize(
    ("task", "model"),
    [
        ("classification", {}),
        ("classification", MOBILE),
        ("classification", VGG),
        ("detection", {}),
        ("detection", TWO_STAGES),
        ("segmentation", {}),
        ("segmentation", DEEPLAB),
        ("captioning", {}),
    ],
)
def test_whatever_leaves_the_network_answers_in_its_form(
    task: TaskName, model: dict[str, Any], tmp_path: Path, learnings: Callable[[TaskName], Learning]
) -> None:
    learning = learning_of(task, tmp_path, **model) if model else learnings(task)
    for embedding in ("whole", "narrowed"):
        network = network_of(learning)
        pictures = PictureChannels(network, learning.recipe.image_spec, 1, embedding)  # type: ignore[arg-type]
        width = network.backbone.embedding_dim
        groups = pictures.groups()
        assert len(groups) >= 4
        for number, group in enumerate(groups):
            # Another share of each: nothing may rest on widths that happen to be the same.
            group.remove(group.smallest(1 + number % 3))
        pictures.check()
        assert (network.backbone.embedding_dim < width) == (embedding == "narrowed")


def test_heads_of_attention_are_not_mixed(tmp_path: Path) -> None:
    learning = learning_of("classification", tmp_path, **TINY_VIT)
    with pytest.raises(InvalidRecipe, match=r"Classifier over TransformersBackbone .*heads.*low_rank"):
        PictureChannels(network_of(learning), learning.recipe.image_spec, 2, "whole").groups()


class Stubborn(nn.Module):
    """Believes to know how many channels there are."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps * torch.ones(1, 16, 1, 1)


def test_a_network_that_no_longer_computes_is_refused(learnings: Callable[[TaskName], Learning]) -> None:
    learning = learnings("classification")
    network = network_of(learning)
    block = network.get_submodule("backbone.blocks.1.body")
    assert isinstance(block, nn.Sequential)
    block[2] = nn.Sequential(block[2], Stubborn())
    pictures = PictureChannels(network, learning.recipe.image_spec, 2, "whole")
    next(group for group in pictures.groups() if group.name == "backbone.blocks.1.body.0").remove([3])
    with pytest.raises(InvalidRecipe, match=r"can not follow.*low_rank"):
        pictures.check()


def test_convolutions_in_several_groups_stay_as_they_are(learnings: Callable[[TaskName], Learning]) -> None:
    learning = learnings("classification")
    network = network_of(learning)
    block = network.get_submodule("backbone.blocks.1.body")
    assert isinstance(block, nn.Sequential)
    block[3] = nn.Conv2d(16, 16, 3, padding=1, groups=4, bias=False)
    names = [group.name for group in PictureChannels(network, learning.recipe.image_spec, 2, "whole").groups()]
    assert "backbone.blocks.1.body.0" not in names
    assert "backbone.blocks.0.body.0" in names
