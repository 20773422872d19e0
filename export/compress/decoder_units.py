"""The inner units of decoders that can leave: of feed-forward parts, and of recurrent layers.

Heads of attention stay as they are, and so does the width of what runs from block to block.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from export.compress.channel_groups import ChannelGroup
from export.compress.factors import LinearFactors
from training.models.llama import Block, FeedForward, Llama
from training.models.lstm import LSTM
from training.networks.language_network import LanguageNetwork

NUM_GATES = 4


def decoder_groups(decoder: LanguageNetwork, power: int) -> list[ChannelGroup]:
    """Nothing for an architecture whose units nobody has told apart."""
    if isinstance(decoder, Llama):
        parts = [block.mlp for block in decoder.blocks if isinstance(block, Block)]
        return [
            ChannelGroup(f"feed_forward_{level}", weigh(feed_forward_norms(part, power)), partial(narrow_part, part))
            for level, part in enumerate(parts)
        ]
    if isinstance(decoder, LSTM):
        return [
            ChannelGroup(
                f"units_{level}", weigh(unit_norms(decoder, level, power)), partial(drop_units, decoder, level)
            )
            for level in range(len(decoder.layers))
        ]
    return []


def weigh(norms: Sequence[Tensor]) -> Tensor:
    """Norms [units] of several weights of each unit → scores [units], in means."""
    scores = torch.stack([norm / norm.mean().clamp_min(1e-12) for norm in norms]).mean(dim=0)
    return scores / scores.mean().clamp_min(1e-12)


def norm_of(weights: Tensor, power: int) -> Tensor:
    """Of each row, to the power."""
    return weights.detach().abs().pow(power).flatten(1).sum(dim=1)


def feed_forward_norms(part: FeedForward, power: int) -> list[Tensor]:
    """A unit has a row of the gate, one of what is gated, and a column of what they become."""
    gate, up = outlet(part.gate_up).weight.chunk(2)
    return [norm_of(gate, power), norm_of(up, power), norm_of(inlet(part.down).weight.T, power)]


def narrow_part(part: FeedForward, leaving: Sequence[int]) -> None:
    """Takes units out of a feed-forward part."""
    entry, exit_ = outlet(part.gate_up), inlet(part.down)
    kept = others(exit_.in_features, leaving)
    entry.weight = nn.Parameter(entry.weight.detach()[repeat(kept, exit_.in_features, 2)])
    exit_.weight = nn.Parameter(exit_.weight.detach()[:, kept])
    entry.out_features, exit_.in_features = len(entry.weight), len(kept)


def outlet(layer: nn.Module) -> nn.Linear:
    """What the answer of a layer comes out of, be it of low rank or not."""
    last = layer.second if isinstance(layer, LinearFactors) else layer
    assert isinstance(last, nn.Linear)
    return last


def inlet(layer: nn.Module) -> nn.Linear:
    """What the input of a layer goes into."""
    first = layer.first if isinstance(layer, LinearFactors) else layer
    assert isinstance(first, nn.Linear)
    return first


def unit_norms(network: LSTM, level: int, power: int) -> list[Tensor]:
    """A hidden unit has a row in each gate, for the input and for the state, and a column wherever it is read."""
    layer = network.layers[level]
    assert isinstance(layer, nn.LSTM)
    recurrent = layer.get_parameter("weight_hh_l0")
    rows = [layer.get_parameter("weight_ih_l0"), recurrent]
    by_unit = [gates.view(NUM_GATES, layer.hidden_size, -1).transpose(0, 1) for gates in rows]
    return [norm_of(weights, power) for weights in (*by_unit, recurrent.T, reader_of(network, level).T)]


def reader_of(network: LSTM, level: int) -> Tensor:
    """The weight [out, hidden] that reads the answers of a layer."""
    if level + 1 < len(network.layers):
        return network.layers[level + 1].get_parameter("weight_ih_l0")
    return inlet(network.projection).weight


def drop_units(network: LSTM, level: int, leaving: Sequence[int]) -> None:
    """Takes hidden units out of a layer, and out of what reads them."""
    layer = network.layers[level]
    assert isinstance(layer, nn.LSTM)
    kept = others(layer.hidden_size, leaving)
    rows = repeat(kept, layer.hidden_size, NUM_GATES)
    weights = {name: weight.detach()[rows] for name, weight in layer.named_parameters()}
    weights["weight_hh_l0"] = weights["weight_hh_l0"][:, kept]
    network.layers[level] = rebuild(weights)
    if level + 1 < len(network.layers):
        following = dict(network.layers[level + 1].named_parameters())
        network.layers[level + 1] = rebuild(following | {"weight_ih_l0": following["weight_ih_l0"][:, kept]})
    else:
        entry = inlet(network.projection)
        entry.weight = nn.Parameter(entry.weight.detach()[:, kept])
        entry.in_features = len(kept)


@torch.no_grad()
def rebuild(weights: dict[str, Tensor]) -> nn.LSTM:
    """A layer of these weights: it keeps lists of its own of them, so that they can not be exchanged."""
    layer = nn.LSTM(weights["weight_ih_l0"].shape[1], weights["weight_hh_l0"].shape[1], batch_first=True)
    for name, weight in layer.named_parameters():
        weight.copy_(weights[name])
    return layer.eval()


def others(size: int, leaving: Sequence[int]) -> Tensor:
    """INT64: the indices below `size` that do not leave."""
    gone = set(leaving)
    return torch.tensor([index for index in range(size) if index not in gone])


def repeat(kept: Tensor, size: int, times: int) -> Tensor:
    """Indices into `times` blocks of `size` rows on top of each other: the same of each."""
    return torch.cat([kept + block * size for block in range(times)])
