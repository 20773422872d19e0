"""Units that leave decoders: those that say nothing leave without a trace, and graphs follow."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from export.compress.decoder_units import decoder_groups
from export.compress.factors import LinearFactors
from training.models import llama, lstm
from training.networks.language_network import LanguageNetwork

TOKENS = torch.randint(0, 40, (2, 9), generator=torch.Generator().manual_seed(0))


def answer(network: LanguageNetwork) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = network.eval()(TOKENS)
    return logits


def tiny_llama() -> llama.Llama:
    torch.manual_seed(0)
    return llama.build(llama.Options(width=32, depth=2, heads=2, kv_heads=1, hidden=24), 40, 16)


def silence(down: nn.Linear, gate_up: nn.Linear, units: list[int]) -> None:
    with torch.no_grad():
        down.weight[:, units] = 0
        gate_up.weight[units] = 0


def test_feed_forward_units_that_say_nothing_leave_without_a_trace() -> None:
    network = tiny_llama()
    part = network.blocks[1].mlp
    silence(part.down, part.gate_up, [2, 23])
    before = answer(network)
    first, second = decoder_groups(network, 2)
    assert (len(first), len(second)) == (24, 24)
    assert second.smallest(2) == [2, 23]
    second.remove([2, 23])
    torch.testing.assert_close(answer(network), before)
    assert (part.gate_up.out_features, part.down.in_features) == (44, 22)
    assert [len(group) for group in decoder_groups(network, 2)] == [24, 22]


def test_factorised_layers_are_narrowed_at_their_outer_ends() -> None:
    network = tiny_llama()
    part = network.blocks[0].mlp
    part.gate_up = LinearFactors(nn.Linear(32, 5, bias=False), nn.Linear(5, 48, bias=False))
    part.down = LinearFactors(nn.Linear(24, 5, bias=False), nn.Linear(5, 32, bias=False))
    silence(part.down.first, part.gate_up.second, [7])
    before = answer(network)
    decoder_groups(network, 1)[0].remove([7])
    torch.testing.assert_close(answer(network), before)
    assert part.down.first.in_features == 23


@pytest.mark.parametrize("level", [0, 1])
def test_recurrent_units_that_nobody_reads_leave_without_a_trace(level: int) -> None:
    torch.manual_seed(0)
    network = lstm.build(lstm.Options(width=8, hidden=12, depth=2), 40, 16)
    units = [0, 5, 11]
    with torch.no_grad():
        network.layers[level].get_parameter("weight_hh_l0")[:, units] = 0
        reader = network.layers[1].get_parameter("weight_ih_l0") if level == 0 else network.projection.weight
        reader[:, units] = 0
    before = answer(network)
    group = decoder_groups(network, 2)[level]
    assert len(group) == 12
    group.remove(units)
    torch.testing.assert_close(answer(network), before)
    layer = network.layers[level]
    assert isinstance(layer, nn.LSTM)
    assert layer.hidden_size == 9
    assert [len(each) for each in decoder_groups(network, 2)] == ([9, 12] if level == 0 else [12, 9])
