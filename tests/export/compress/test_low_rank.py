"""Low rank, on every kind of network: fewer multiplications, the same form, and able to learn on."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from torch import nn

from export.compress.channel_pruning import ChannelPruning
from export.compress.factors import ConvolutionFactors, LinearFactors
from export.compress.learning import FineTuning, Learning
from export.compress.low_rank import LowRank
from tasks.errors import InvalidRecipe
from tests.tiny_learning import BACKBONE, learning_of
from training.models import llama
from training.networks.network import Trainable
from training.recipe import TaskName

SHORT = FineTuning(batches_per_epoch=1)
TASKS: tuple[TaskName, ...] = ("classification", "detection", "segmentation", "captioning", "text_generation")


def num_products(network: Trainable) -> int:
    layers = (layer for layer in network.modules() if isinstance(layer, (nn.Conv2d, nn.Linear)))
    return sum(layer.weight.numel() for layer in layers)


@pytest.mark.parametrize("task", TASKS)
def test_every_kind_of_network_gets_thinner_layers_and_learns_on(
    task: TaskName, learnings: Callable[[TaskName], Learning]
) -> None:
    learning = learnings(task)
    technique = LowRank(multiplications=0.5, fine_tuning=SHORT)
    assert technique.find_obstacle(task) == ""
    thin = technique.compress(copy.deepcopy(learning.trained), learning)
    kinds = {type(layer) for layer in thin.modules()}
    assert kinds & {ConvolutionFactors, LinearFactors}
    assert num_products(thin) < 0.8 * num_products(learning.trained)
    learning.fine_tune(copy.deepcopy(thin), SHORT)


@pytest.mark.parametrize(
    ("task", "lasts"),
    [
        ("classification", {"head"}),
        ("segmentation", {"classify"}),
        ("detection", {f"head.branches.{level}.{answer}" for level in (0, 1) for answer in ("classify", "frame")}),
    ],
)
def test_layers_that_give_the_answers_stay_whole(
    task: TaskName, lasts: set[str], learnings: Callable[[TaskName], Learning]
) -> None:
    learning = learnings(task)
    thin = LowRank(multiplications=0.5, fine_tuning=SHORT).compress(copy.deepcopy(learning.trained), learning)
    layers = dict(thin.named_modules())
    for name in lasts:
        assert isinstance(layers[name], (nn.Conv2d, nn.Linear)), name


def test_at_nearly_all_energy_nothing_changes_but_the_form(learnings: Callable[[TaskName], Learning]) -> None:
    learning = learnings("text_generation")
    network = copy.deepcopy(learning.trained)
    tokens = torch.arange(12)[None]
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Linear):
                layer.weight.copy_(layer.weight[:, :2] @ torch.randn(2, layer.in_features))
        before = network(tokens)
        assert LowRank(energy=0.999999).factorise(network) == [
            f"blocks.0.{name}" for name in ("attention.qkv", "attention.output", "mlp.gate_up", "mlp.down")
        ]
        torch.testing.assert_close(network(tokens), before, rtol=1e-3, atol=1e-3)


def test_heads_that_are_read_by_name_stay_whole() -> None:
    network = llama.build(llama.Options(width=32, depth=1, heads=2, kv_heads=1, tie_embeddings=False), 300, 16)
    assert "head" not in LowRank(multiplications=0.3).factorise(network)
    assert isinstance(network.head, nn.Linear)


def test_layers_that_save_too_little_stay_whole(learnings: Callable[[TaskName], Learning]) -> None:
    learning = learnings("classification")
    technique = LowRank(energy=0.999, min_saving=0.9, fine_tuning=SHORT)
    with pytest.raises(InvalidRecipe, match="no layer of Classifier saves 90%"):
        technique.compress(copy.deepcopy(learning.trained), learning)


def test_an_lstm_is_refused_with_what_serves_it(tmp_path: Path) -> None:
    model: dict[str, Any] = {"architecture": "lstm", "options": {"width": 8, "hidden": 8}}
    learning = learning_of("text_generation", tmp_path, **model)
    with pytest.raises(InvalidRecipe, match="channel_pruning"):
        LowRank(energy=0.9).compress(copy.deepcopy(learning.trained), learning)


@pytest.mark.parametrize("order", ["thin first", "narrow first"])
@pytest.mark.parametrize("task", ["detection", "captioning"])
def test_channels_leave_thin_layers_too(
    order: str, task: TaskName, tmp_path: Path, learnings: Callable[[TaskName], Learning]
) -> None:
    two_stages = {
        "architecture": "faster_rcnn",
        "options": {"strides": [4, 8], "channels": 8, "depth": 1, "num_candidates": 20, "hidden": 16},
        "backbone": BACKBONE,
    }
    learning = learning_of(task, tmp_path, **two_stages) if task == "detection" else learnings(task)
    thin = LowRank(multiplications=0.6, fine_tuning=SHORT)
    narrow = ChannelPruning(round_to=2, fine_tuning=SHORT)
    network = copy.deepcopy(learning.trained)
    for step in (thin, narrow) if order == "thin first" else (narrow, thin):
        network = step.compress(network, learning)
    assert num_products(network) < 0.5 * num_products(learning.trained)


@pytest.mark.parametrize("wrong", [{}, {"energy": 0.9, "multiplications": 0.5}])
def test_one_of_two_ways_to_say_how_much_must_be_taken(wrong: dict[str, float]) -> None:
    with pytest.raises(msgspec.ValidationError, match="either energy"):
        msgspec.convert({"technique": "low_rank", **wrong}, LowRank)
