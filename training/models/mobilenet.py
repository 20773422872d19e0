"""A small MobileNet (Sandler et al., 2018): depthwise separable convolutions in inverted residuals."""

from __future__ import annotations

from typing import Annotated

import msgspec
from torch import Tensor, nn

from tasks.image import ImageSpec
from training.networks.architecture import BackboneOptions
from training.networks.config import Building
from training.networks.network import Backbone
from training.networks.shrink import scale_width, scale_widths

BUILDS: Building = "backbone"
Width = Annotated[int, msgspec.Meta(ge=1)]


class Options(BackboneOptions, frozen=True, kw_only=True):
    """`depths` and `widths` per stage; every stage halves the picture. Inside a block it is `expansion` times wider."""

    depths: tuple[Width, ...] = (1, 2, 2)
    widths: tuple[Width, ...] = (24, 48, 96)
    stem_width: Width = 16
    expansion: Width = 4

    def __post_init__(self) -> None:
        if len(self.depths) != len(self.widths) or not self.depths:
            raise ValueError(f"depths {self.depths} and widths {self.widths} must have one number for each stage")


class InvertedResidual(nn.Module):
    """1×1 up, 3×3 on each channel by itself, 1×1 down without activation; a shortcut where shapes allow it."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels_in * expansion
        self.body = nn.Sequential(
            nn.Conv2d(channels_in, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU6(inplace=True),
            nn.Conv2d(inner, inner, 3, stride, padding=1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU6(inplace=True),
            nn.Conv2d(inner, channels_out, 1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.has_shortcut = stride == 1 and channels_in == channels_out

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.body(features)
        return result + features if self.has_shortcut else result


class MobileNet(Backbone):
    """Stem, stages of inverted residuals, a last 1×1 convolution; a feature map after each stage."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        channels = options.stem_width
        layers: list[nn.Module] = [
            nn.Conv2d(3, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU6(inplace=True),
        ]
        ends = []
        for depth, width in zip(options.depths, options.widths, strict=True):
            for index in range(depth):
                layers.append(InvertedResidual(channels, width, 2 if index == 0 else 1, options.expansion))
                channels = width
            ends.append(len(layers))
        layers += [nn.Conv2d(channels, 2 * channels, 1, bias=False), nn.BatchNorm2d(2 * channels)]
        layers += [nn.ReLU6(inplace=True)]
        self.layers = nn.Sequential(*layers)
        self._stage_ends = (*ends[:-1], len(layers))

    def features(self, pixels: Tensor) -> list[Tensor]:
        current, maps = pixels, []
        for count, layer in enumerate(self.layers, 1):
            current = layer(current)
            if count in self._stage_ends:
                maps.append(current)
        return maps


def build(options: Options, image: ImageSpec) -> MobileNet:
    """Convolutions take any picture size: `image` decides nothing here."""
    return MobileNet(options)


def settle(options: Options) -> Options:
    """The options say it all."""
    return options


def shrink(options: Options, factor: float) -> Options:
    """See training/networks/shrink.py."""
    return msgspec.structs.replace(
        options,
        widths=scale_widths(options.widths, factor),
        stem_width=scale_width(options.stem_width, factor),
    )
