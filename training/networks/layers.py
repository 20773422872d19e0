"""Layers that the heads of several architectures are made of."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


def convolve(channels_in: int, channels_out: int, kernel: int = 3, dilation: int = 1, stride: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU: [B, channels_in, H, W] → [B, channels_out, H / stride, W / stride]."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, padding, dilation, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


def enlarge(coarse: Tensor, fine: Tensor) -> Tensor:
    """A map at the height and width of another, interpolated bilinearly: [B, C, h, w] → [B, C, H, W]."""
    if coarse.shape[2:] == fine.shape[2:]:
        return coarse
    return functional.interpolate(coarse, size=fine.shape[2:], mode="bilinear", align_corners=False)
