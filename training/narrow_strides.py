"""Strided 1×1 convolutions of few channels, which may not learn from maps as pictures lay them out.

Pictures come as [B, H, W, 3], so the maps of a network lie in memory pixel by pixel. Where such a map has fewer
channels than a vector register has numbers, oneDNN's gradient of the weights of a strided 1×1 convolution writes past
its workspace (uxlfoundation/oneDNN#6035): the process dies, or the gradient is wrong and nobody is told. Networks that
were pruned or shrunk have such layers in their shortcuts. They learn from maps laid out channel by channel.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

NUM_LANES = 16
"""Numbers of 32 bits in the widest vector register of a processor."""


@contextmanager
def safe_strides(network: nn.Module) -> Iterator[None]:
    """Inside, such layers of a network learn rightly."""
    hooks = [
        layer.register_forward_pre_hook(lay_out_by_channel)
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d) and is_narrow_stride(layer)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def is_narrow_stride(layer: nn.Conv2d) -> bool:
    """Is it a convolution that oneDNN's gradient is wrong for?"""
    return max(layer.kernel_size) == 1 and max(layer.stride) > 1 and layer.in_channels < NUM_LANES


def lay_out_by_channel(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """A map [B, C, H, W] in the order of its axes; on a GPU as it is."""
    return tuple(each.contiguous() if each.device.type == "cpu" else each for each in inputs)
