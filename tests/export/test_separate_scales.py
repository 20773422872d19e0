"""Normalisation apart from weights that share values, and left where nothing is shared."""

from __future__ import annotations

import torch
from torch import nn

from export.compress.clustering import share_values
from export.separate_scales import Scale, separate_scales


def network() -> nn.Sequential:
    """In evaluation mode, with statistics of its own."""
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Sequential(nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4))
    )
    with torch.no_grad():
        for _ in range(5):
            layers(torch.randn(16, 3, 8, 8) * 3 + 1)
        for norm in (layers[1], layers[3][1]):
            norm.weight.uniform_(0.5, 2)
            norm.bias.uniform_(-1, 1)
    return layers.eval()


def test_a_network_without_shared_values_is_exported_as_it_is() -> None:
    plain = network()
    assert separate_scales(plain) is plain


def test_the_copy_computes_the_same() -> None:
    shared = network()
    share_values(shared[0].weight, 4)
    separate = separate_scales(shared)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in separate.modules())
    assert sum(isinstance(layer, Scale) for layer in separate.modules()) == 2
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in shared.modules()), "the network itself may learn on"
    pictures = torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(separate(pictures), shared(pictures), atol=1e-5, rtol=1e-5)
