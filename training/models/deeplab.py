"""DeepLabV3+ (Chen et al., 2018) over any backbone: an atrous pyramid on the coarsest map, outlines from a finer one.

The pyramid looks at the coarsest map at several rates side by side, and at the whole picture. The backbone is taken as
it is (nothing in it is dilated), so one whose coarsest map has a stride of 8 or 16 serves best.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import torch
from torch import Tensor, nn

from tasks.image import ImageSpec
from training.networks import architecture
from training.networks.config import Building
from training.networks.layers import convolve, enlarge
from training.networks.network import FeatureMap, Trunk
from training.networks.segmenter import Segmenter
from training.networks.shrink import scale_width

BUILDS: Building = "segmenter"
Count = Annotated[int, msgspec.Meta(ge=1)]


class Options(architecture.Options, frozen=True, kw_only=True):
    """`rates`: dilations of the pyramid's 3×3 convolutions, in positions of the coarsest map. `width`: channels of each
    branch of the pyramid, and of what follows.

    `outline_stride`: the map that sharpens the outlines is the coarsest of at most this stride (the finest where there
    is none); `outline_width`: the channels that are taken from it.
    """

    rates: tuple[Count, ...] = (1, 2, 4)
    width: Count = 64
    outline_stride: Count = 4
    outline_width: Count = 24


class AtrousPyramid(nn.Module):
    """[B, channels, h, w] → [B, width, h, w]: a 1×1 convolution, 3×3 ones at every rate, the mean of the picture."""

    def __init__(self, channels: int, width: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList([convolve(channels, width, 1)])
        self.branches.extend(convolve(channels, width, 3, rate) for rate in rates)
        # Without normalisation: a batch of one picture has no statistics here.
        self.whole = nn.Sequential(nn.Conv2d(channels, width, 1), nn.ReLU(inplace=True))
        self.project = convolve(width * (len(rates) + 2), width, 1)

    def forward(self, features: Tensor) -> Tensor:
        seen = [branch(features) for branch in self.branches]
        # Along height and width alone: it may have more or fewer channels than the other branches.
        whole = self.whole(features.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *features.shape[2:])
        projected: Tensor = self.project(torch.cat((*seen, whole), dim=1))
        return projected


class DeepLab(Segmenter):
    """See Segmenter."""

    def __init__(self, trunk: Trunk, options: Options, num_classes: int) -> None:
        super().__init__(trunk)
        maps = trunk.backbone.feature_maps
        self._outline_index = choose_map(maps, options.outline_stride)
        self.pyramid = AtrousPyramid(maps[-1].channels, options.width, options.rates)
        self.outline = convolve(maps[self._outline_index].channels, options.outline_width, 1)
        self.refine = nn.Sequential(
            convolve(options.width + options.outline_width, options.width),
            convolve(options.width, options.width),
        )
        self.classify = nn.Conv2d(options.width, num_classes, 1)

    def label_pixels(self, maps: list[Tensor], pixels: Tensor) -> Tensor:
        outline = self.outline(maps[self._outline_index])
        context = enlarge(self.pyramid(maps[-1]), outline)
        logits = self.classify(self.refine(torch.cat((context, outline), dim=1)))
        return enlarge(logits, pixels)


def choose_map(maps: tuple[FeatureMap, ...], stride: int) -> int:
    """Index of the coarsest map of at most this stride, or of the finest."""
    return max((index for index, each in enumerate(maps) if each.stride <= stride), default=0)


def build(options: Options, trunk: Trunk, num_classes: int, image: ImageSpec) -> DeepLab:
    """Convolutions take any picture size: `image` decides nothing here."""
    return DeepLab(trunk, options, num_classes)


def shrink(options: Options, factor: float) -> Options:
    """See training/networks/shrink.py."""
    return msgspec.structs.replace(
        options,
        width=scale_width(options.width, factor),
        outline_width=scale_width(options.outline_width, factor),
    )
