"""Batch normalisation as two steps of its own in a graph: a product and a sum for each channel.

The ONNX exporter multiplies normalisation into the weights before it, one factor for each channel: weights that share a
few values would have as many again for every channel, and nothing would be gained by storing them as numbers of values.
Engines fold product and sum themselves when they load the graph, so they cost no time.
"""

from __future__ import annotations

import copy

from torch import Tensor, nn

from export.compress.weight_pattern import has_shared_values


class Scale(nn.Module):
    """x · factor + shift, of every channel [B, C, H, W]: what batch normalisation is when nothing is learnt."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        factor = (norm.running_var.double() + norm.eps).rsqrt()
        factor = factor if norm.weight is None else factor * norm.weight.double()
        shift = -norm.running_mean.double() * factor
        shift = shift if norm.bias is None else shift + norm.bias.double()
        self.register_buffer("factor", factor.detach().float().view(-1, 1, 1))
        self.register_buffer("shift", shift.detach().float().view(-1, 1, 1))
        self.factor: Tensor
        self.shift: Tensor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor + self.shift


def separate_scales(network: nn.Module) -> nn.Module:
    """The network as it is to be exported: itself, or a copy that computes the same with normalisation apart where any
    of its layers has weights that share values."""
    if not any(weight.ndim > 1 and has_shared_values(weight) for weight in network.parameters()):
        return network
    separate = copy.deepcopy(network)
    for parent in list(separate.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None:
                setattr(parent, name, Scale(layer))
    return separate.eval()
