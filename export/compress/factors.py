"""Layers of low rank: in place of one large product two or three thin ones behind each other."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LinearFactors(nn.Module):
    """x [..., in] → [..., rank] → [..., out], where a linear layer was."""

    def __init__(self, first: nn.Linear, second: nn.Linear) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.in_features, self.out_features = first.in_features, second.out_features

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.second(self.first(x))
        return result


class ConvolutionFactors(nn.Sequential):
    """Convolutions one behind the other, where a single one was."""


def build_linear(layer: nn.Linear, left: Tensor, right: Tensor) -> nn.Module:
    """left [out, rank], right [rank, in]."""
    first = nn.Linear(layer.in_features, len(right), bias=False)
    second = nn.Linear(len(right), layer.out_features, bias=layer.bias is not None)
    fill(first, right)
    fill(second, left, layer.bias)
    return LinearFactors(first, second)


def build_under_1x1(layer: nn.Conv2d, left: Tensor, right: Tensor) -> nn.Module:
    """left [out, rank], right [rank, in · height · width]."""
    rank = len(right)
    first = nn.Conv2d(
        layer.in_channels,
        rank,
        size_of(layer.kernel_size),
        size_of(layer.stride),
        size_of(layer.padding),
        size_of(layer.dilation),
        bias=False,
    )
    second = nn.Conv2d(rank, layer.out_channels, 1, bias=layer.bias is not None)
    fill(first, right.view_as(first.weight))
    fill(second, left[:, :, None, None], layer.bias)
    return ConvolutionFactors(first, second)


def build_tall_and_wide(layer: nn.Conv2d, left: Tensor, right: Tensor) -> nn.Module:
    """left [in · height, rank], right [rank, width · out]."""
    rank, (height, width) = len(right), size_of(layer.kernel_size)
    stride, padding, dilation = (size_of(each) for each in (layer.stride, layer.padding, layer.dilation))
    tall = nn.Conv2d(
        layer.in_channels,
        rank,
        (height, 1),
        (stride[0], 1),
        (padding[0], 0),
        (dilation[0], 1),
        bias=False,
    )
    wide = nn.Conv2d(
        rank,
        layer.out_channels,
        (1, width),
        (1, stride[1]),
        (0, padding[1]),
        (1, dilation[1]),
        bias=layer.bias is not None,
    )
    fill(tall, left.view(layer.in_channels, height, rank).permute(2, 0, 1)[..., None])
    fill(wide, right.view(rank, width, layer.out_channels).permute(2, 0, 1)[:, :, None], layer.bias)
    return ConvolutionFactors(tall, wide)


def build_tucker(layer: nn.Conv2d, out_basis: Tensor, core: Tensor, in_basis: Tensor) -> nn.Module:
    """out_basis [out, p], core [p, q, height, width], in_basis [in, q]."""
    out_rank, in_rank = core.shape[:2]
    first = nn.Conv2d(layer.in_channels, in_rank, 1, bias=False)
    middle = nn.Conv2d(
        in_rank,
        out_rank,
        size_of(layer.kernel_size),
        size_of(layer.stride),
        size_of(layer.padding),
        size_of(layer.dilation),
        bias=False,
    )
    last = nn.Conv2d(out_rank, layer.out_channels, 1, bias=layer.bias is not None)
    fill(first, in_basis.T[:, :, None, None])
    fill(middle, core)
    fill(last, out_basis[:, :, None, None], layer.bias)
    return ConvolutionFactors(first, middle, last)


@torch.no_grad()
def fill(layer: nn.Conv2d | nn.Linear, weight: Tensor, bias: Tensor | None = None) -> None:
    layer.weight.copy_(weight)
    if bias is not None:
        assert layer.bias is not None
        layer.bias.copy_(bias)


def size_of(pair: tuple[int, ...] | str) -> tuple[int, int]:
    """Height and width of what torch calls a tuple of any length, or of a name of a padding."""
    assert not isinstance(pair, str)
    height, width = pair
    return height, width
