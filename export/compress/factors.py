"""Layers of low rank: in place of one large product two or three thin ones behind each other."""

from __future__ import annotations

from collections.abc import Sequence

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

    def __init__(self, convolutions: Sequence[nn.Conv2d]) -> None:
        super().__init__(*convolutions)
        self.in_channels, self.out_channels = convolutions[0].in_channels, convolutions[-1].out_channels
