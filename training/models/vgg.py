"""VGG (Simonyan and Zisserman, 2015) with batch normalisation: 3×3 convolutions, then dense layers over the last map.

The dense layers hold nearly all weights, as in the paper's networks: nine tenths of those of VGG-16.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from torch import Tensor, nn
from torch.nn import functional

from tasks.errors import InvalidRecipe
from tasks.image import ImageSpec
from training.networks.architecture import BackboneOptions
from training.networks.config import Building
from training.networks.layers import convolve
from training.networks.network import Backbone
from training.networks.shrink import scale_widths

BUILDS: Building = "backbone"
Width = Annotated[int, msgspec.Meta(ge=1)]


class Options(BackboneOptions, frozen=True, kw_only=True):
    """`depths` and `widths` per stage, and `hidden`, the widths of the dense layers (the defaults are VGG-16's). Max
    pooling halves the picture after every stage. `dropout`: the share of each dense layer's outputs that is left out
    while training. Below a detector or segmenter dense layers learn nothing: leave them out, with `hidden` empty."""

    depths: tuple[Width, ...] = (2, 2, 3, 3, 3)
    widths: tuple[Width, ...] = (64, 128, 256, 512, 512)
    hidden: tuple[Width, ...] = (4096, 4096)
    dropout: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.5

    def __post_init__(self) -> None:
        if len(self.depths) != len(self.widths) or not self.depths:
            raise ValueError(f"depths {self.depths} and widths {self.widths} must have one number for each stage")


class Vgg(Backbone):
    """Stages of convolutions with a feature map after each; the embedding is what the last dense layer gives, and
    without any the mean of the last map.

    Dense layers have weights for each position of the map: with them the network takes pictures of one size."""

    def __init__(self, options: Options, num_positions: int) -> None:
        """`num_positions` of the last map, once it is pooled."""
        super().__init__()
        channels, stages = 3, []
        for depth, width in zip(options.depths, options.widths, strict=True):
            befores = (channels, *[width] * (depth - 1))
            stages.append(nn.Sequential(*(convolve(before, width) for before in befores)))
            channels = width
        self.stages = nn.ModuleList(stages)
        sizes = (channels * num_positions, *options.hidden)
        layers = (dense(*pair, options.dropout) for pair in zip(sizes, options.hidden, strict=False))
        self.dense = nn.Sequential(*layers)

    def features(self, pixels: Tensor) -> list[Tensor]:
        maps: list[Tensor] = []
        for stage in self.stages:
            maps.append(stage(functional.max_pool2d(maps[-1], 2) if maps else pixels))
        return maps

    def pool(self, features: list[Tensor]) -> Tensor:
        """The last map [B, C, H, W], halved and flattened, through the dense layers: [B, the last of `hidden`]."""
        if not len(self.dense):
            return super().pool(features)
        embedding: Tensor = self.dense(functional.max_pool2d(features[-1], 2).flatten(1))
        return embedding


def dense(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    """A dense layer, started so that signals keep their size through ReLU (He et al., 2015)."""
    layer = nn.Linear(inputs, outputs)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return nn.Sequential(layer, nn.ReLU(inplace=True), nn.Dropout(dropout))


def build(options: Options, image: ImageSpec) -> Vgg:
    """Raises InvalidRecipe for pictures that are too small to be halved after every stage."""
    factor = 2 ** len(options.depths)
    num_positions = (image.height // factor) * (image.width // factor)
    if not num_positions:
        raise InvalidRecipe(
            f"model.options.depths: {len(options.depths)} stages make a picture {factor} times smaller, and one of "
            f"{image.height}×{image.width} has not that many pixels; leave out stages or take larger pictures"
        )
    return Vgg(options, num_positions)


def settle(options: Options) -> Options:
    """The options say it all."""
    return options


def shrink(options: Options, factor: float) -> Options:
    """See training/networks/shrink.py."""
    return msgspec.structs.replace(
        options, widths=scale_widths(options.widths, factor), hidden=scale_widths(options.hidden, factor)
    )
