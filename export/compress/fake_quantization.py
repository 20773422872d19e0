"""Quantization as a network that learns sees it: numbers are rounded on their way, and gradients pass unrounded.

Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference" (2018).
Weights are rounded as int8_static will round them, with a scale for each output channel and zero in the middle; what
enters a layer is rounded within a range that follows the batches, and ends in zero where nothing is negative (after
ReLU).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

LEVELS = {7: 64, 8: 127}
"""Bits of a weight → its largest number in bytes."""
MAX_BYTE = 255
MOMENTUM = 0.05
"""What a batch adds to a range."""
SMALLEST = 1e-8


class RoundedWeight(nn.Module):
    """A weight as bytes leave it: the first axis has the output channels."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self._levels = LEVELS[bits]

    def forward(self, weight: Tensor) -> Tensor:
        scales = (weight.detach().abs().flatten(1).amax(1) / self._levels).clamp(min=SMALLEST)
        zeros = torch.zeros_like(scales, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, scales, zeros, 0, -self._levels, self._levels)


class RoundedInput(nn.Module):
    """Rounds to bytes within a range. While the network learns the range follows the extremes of the batches."""

    def __init__(self) -> None:
        super().__init__()
        self.low: Tensor
        self.high: Tensor
        self.is_known: Tensor
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))
        self.register_buffer("is_known", torch.zeros((), dtype=torch.bool))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self._follow(x.detach().float())
        scale = ((self.high - self.low) / MAX_BYTE).clamp(min=SMALLEST)
        zero_point = (-self.low / scale).round().to(torch.int32)
        rounded = torch.fake_quantize_per_tensor_affine(x.float(), scale, zero_point, 0, MAX_BYTE)
        return rounded.to(x.dtype)

    def _follow(self, x: Tensor) -> None:
        # Zero is always inside: padding is made of it, and must stay exact.
        low, high = x.amin().clamp(max=0), x.amax().clamp(min=0)
        share = torch.where(self.is_known, MOMENTUM, 1.0)
        self.low.lerp_(low, share)
        self.high.lerp_(high, share)
        self.is_known.fill_(True)


@contextlib.contextmanager
def fake_quantized(layers: Sequence[nn.Conv2d | nn.Linear], weight_bits: int) -> Iterator[None]:
    """Inside, the layers see bytes. Afterwards their weights are those that bytes can hold, and nothing else is left of
    it."""
    handles = []
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", RoundedWeight(weight_bits))
        layer.add_module("rounded_input", RoundedInput())
        handles.append(layer.register_forward_pre_hook(round_input))
    try:
        yield
    finally:
        for layer, handle in zip(layers, handles, strict=True):
            handle.remove()
            del layer.rounded_input
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)


def round_input(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    rounded: Tensor = layer.get_submodule("rounded_input")(inputs[0])
    return (rounded, *inputs[1:])
