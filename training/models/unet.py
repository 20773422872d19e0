"""U-Net (Ronneberger et al., 2015) over any backbone: its maps are joined again from the coarsest to the finest.

Two departures, because full-resolution 3×3 convolutions would be most of the cost: the wider map is narrowed before it
is enlarged, and what is left between the finest map and the picture itself is enlarged bilinearly.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import torch
from torch import Tensor, nn

from tasks.errors import InvalidRecipe
from tasks.image import ImageSpec
from training.networks import architecture
from training.networks.config import Building
from training.networks.layers import convolve, enlarge
from training.networks.network import Trunk
from training.networks.segmenter import Segmenter
from training.networks.shrink import scale_width, scale_widths

BUILDS: Building = "segmenter"
Width = Annotated[int, msgspec.Meta(ge=1)]


class Options(architecture.Options, frozen=True, kw_only=True):
    """`widths`: channels of each step of the way back up, finest first: one fewer than the backbone has maps.

    `depth`: 3×3 convolutions of each step. `detail_width`: channels of one more step, at full resolution, that joins
    the pixels themselves; 0 leaves it out.
    """

    widths: tuple[Width, ...] = (32, 64, 128)
    depth: Annotated[int, msgspec.Meta(ge=1)] = 2
    detail_width: Annotated[int, msgspec.Meta(ge=0)] = 0


class Join(nn.Module):
    """A coarse map, narrowed and enlarged, beside a finer one, through convolutions."""

    def __init__(self, coarse_channels: int, fine_channels: int, width: int, depth: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(coarse_channels, width, 1)
        layers = [convolve(width + fine_channels, width)]
        layers += [convolve(width, width) for _ in range(depth - 1)]
        self.merge = nn.Sequential(*layers)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        joined: Tensor = self.merge(torch.cat((enlarge(self.narrow(coarse), fine), fine), dim=1))
        return joined


class UNet(Segmenter):
    """See Segmenter."""

    def __init__(self, trunk: Trunk, options: Options, num_classes: int) -> None:
        super().__init__(trunk)
        channels = [each.channels for each in trunk.backbone.feature_maps]
        coarser = [*options.widths[1:], channels[-1]]
        # Finest first, as the maps are; the way back up goes from the end.
        self.joins = nn.ModuleList(
            Join(below, beside, width, options.depth)
            for below, beside, width in zip(coarser, channels[:-1], options.widths, strict=True)
        )
        finest = options.widths[0] if options.widths else channels[0]
        self.detail = Join(finest, 3, options.detail_width, 1) if options.detail_width else None
        self.classify = nn.Conv2d(options.detail_width or finest, num_classes, 1)

    def label_pixels(self, maps: list[Tensor], pixels: Tensor) -> Tensor:
        current = maps[-1]
        for join, beside in zip(reversed(self.joins), reversed(maps[:-1]), strict=True):
            current = join(current, beside)
        if self.detail is not None:
            current = self.detail(current, pixels)
        return enlarge(self.classify(current), pixels)


def build(options: Options, trunk: Trunk, num_classes: int, image: ImageSpec) -> UNet:
    """Convolutions take any picture size: `image` decides nothing here. Raises InvalidRecipe."""
    num_steps = len(trunk.backbone.feature_maps) - 1
    if len(options.widths) != num_steps:
        raise InvalidRecipe(
            f"model.options.widths of 'unet' has {len(options.widths)} numbers and the backbone {num_steps + 1} maps: "
            f"give {num_steps}, finest first"
        )
    return UNet(trunk, options, num_classes)


def shrink(options: Options, factor: float) -> Options:
    """See training/networks/shrink.py. A step that joins the pixels stays one."""
    detail = scale_width(options.detail_width, factor) if options.detail_width else 0
    return msgspec.structs.replace(options, widths=scale_widths(options.widths, factor), detail_width=detail)
