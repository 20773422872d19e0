"""Zeros that stay while a network learns."""

from __future__ import annotations

import copy
from collections.abc import Callable

from torch import nn

from export.compress.learning import FineTuning, Learning
from export.compress.masks import KeptZeros, prunable_weights
from training.models import llama, lstm
from training.models.mobilenet import InvertedResidual
from training.recipe import TaskName


def test_zeros_stay_zeros_and_everything_else_learns(learnings: Callable[[TaskName], Learning]) -> None:
    learning = learnings("classification")
    network = copy.deepcopy(learning.trained)
    before = {name: weight.detach().clone() for name, weight in prunable_weights(network).items()}
    masks = {name: weight.abs() >= weight.abs().median() for name, weight in before.items()}
    learning.fine_tune(network, FineTuning(batches_per_epoch=4), [KeptZeros(network, masks)])
    for name, weight in prunable_weights(network).items():
        kept = masks[name]
        assert (weight[~kept] == 0).all()
        assert (weight[kept] != before[name][kept]).float().mean() > 0.5


def test_embeddings_and_what_is_tied_to_them_keep_all_weights() -> None:
    tied = llama.build(llama.Options(width=32, depth=1, heads=2, kv_heads=1), 100, 16)
    names = prunable_weights(tied).keys()
    assert names == {
        f"blocks.0.{name}.weight" for name in ("attention.qkv", "attention.output", "mlp.gate_up", "mlp.down")
    }
    own = llama.build(llama.Options(width=32, depth=1, heads=2, kv_heads=1, tie_embeddings=False), 100, 16)
    assert "head.weight" in prunable_weights(own)
    shared = nn.Sequential(nn.Embedding(8, 4), nn.Linear(4, 8))
    shared[1].weight = shared[0].weight
    assert not prunable_weights(shared)


def test_recurrent_weights_count_and_biases_do_not() -> None:
    names = prunable_weights(lstm.build(lstm.Options(width=8, hidden=8), 20, 16)).keys()
    assert names == {"layers.0.weight_ih_l0", "layers.0.weight_hh_l0", "projection.weight"}


def test_depthwise_convolutions_keep_all_weights() -> None:
    assert prunable_weights(InvertedResidual(8, 8, 1, 2)).keys() == {"body.0.weight", "body.6.weight"}
