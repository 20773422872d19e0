"""A picture as a prefix of the sentence about it, in the line of GIT (Wang et al., 2022).

Chosen maps of any backbone become one embedding for each cell of the coarsest of them, and a decoder-only transformer
attends to these as to words that were said before (attention over a picture while captioning it: Xu et al., "Show,
attend and tell", 2015). Nothing but training ties a word to a place: what the decoder looked at can be read from its
attention.

Between backbone and cells stands what a dense detector has there, under the same names: a pyramid, and towers of
convolutions that tell what things are and where their edges run. So a captioner that starts warm from a detector of the
same shape knows the objects before it learns to speak.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.errors import InvalidRecipe
from tasks.image import ImageSpec
from training.models import llama
from training.networks import architecture
from training.networks.captioner import Captioner, View
from training.networks.config import Building
from training.networks.fpn import FeaturePyramid, find_levels
from training.networks.layers import convolve
from training.networks.network import FeatureMap, Trunk
from training.networks.shrink import scale_width

BUILDS: Building = "captioner"
Count = Annotated[int, msgspec.Meta(ge=1)]
POSITION_SCALE = 0.5
"""Standard deviation of the first positions: about that of what the cells show, so that neither hides the other."""


class Options(architecture.Options, frozen=True, kw_only=True):
    """`strides`: the maps of the backbone that are seen; the coarsest has a position for each cell of the grid.
    `channels` and `depth`: width of pyramid and towers, and 3×3 convolutions in each tower. `decoder`: see the
    architecture llama. While the backbone is frozen, pyramid and towers are."""

    strides: Annotated[tuple[Count, ...], msgspec.Meta(min_length=1)] = (8, 16)
    channels: Count = 64
    depth: Count = 2
    decoder: llama.Options = llama.Options(width=128, depth=3, heads=4, kv_heads=4)


class Towers(nn.Module):
    """One map [B, channels, H, W] → two of that size on top of each other [B, 2 · channels, H, W]."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.class_tower = nn.Sequential(*(convolve(channels, channels) for _ in range(depth)))
        self.box_tower = nn.Sequential(*(convolve(channels, channels) for _ in range(depth)))

    def forward(self, level: Tensor) -> Tensor:
        return torch.cat((self.class_tower(level), self.box_tower(level)), dim=1)


class Eyes(nn.Module):
    """Maps of a backbone, finest first → levels, one for each of the chosen maps."""

    def __init__(self, maps: Sequence[FeatureMap], options: Options) -> None:
        super().__init__()
        self._chosen = find_levels(maps, options.strides)
        self.pyramid = FeaturePyramid([maps[index] for index in self._chosen], options.channels)
        self.branches = nn.ModuleList(Towers(options.channels, options.depth) for _ in self._chosen)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        levels = self.pyramid([maps[index] for index in self._chosen])
        return [towers(level) for towers, level in zip(self.branches, levels, strict=True)]


class PrefixCaptioner(Captioner):
    """See Captioner."""

    warm_parts: ClassVar[tuple[str, ...]] = ("head.pyramid.", "head.branches.")

    def __init__(self, trunk: Trunk, options: Options, vocabulary: int, context: int, image: ImageSpec) -> None:
        grid, width = find_grid(options, image), options.decoder.width
        super().__init__(trunk, llama.Llama(options.decoder, vocabulary, context), grid)
        self.head = Eyes(trunk.backbone.feature_maps, options)
        self._shares = [max(options.strides) // stride for stride in sorted(set(options.strides))]
        self.project = nn.Linear(2 * options.channels * sum(share**2 for share in self._shares), width)
        self.rows = nn.Parameter(torch.randn(grid[0], 1, width) * POSITION_SCALE)
        self.columns = nn.Parameter(torch.randn(grid[1], width) * POSITION_SCALE)
        self.norm = llama.RMSNorm(width, options.decoder.norm_epsilon)

    def backbones(self) -> tuple[nn.Module, ...]:
        return self.backbone, self.head

    def see(self, image: Tensor) -> View:
        maps = self.features(image)
        return View(maps, self.head(maps))

    def prefix(self, view: View) -> Tensor:
        # A cell has all positions of the finer levels that lie in it, side by side: none of their detail is averaged.
        cells = [functional.pixel_unshuffle(x, share) for x, share in zip(view.levels, self._shares, strict=True)]
        seen = self.project(torch.cat(cells, dim=1).flatten(2).transpose(1, 2))
        normalised: Tensor = self.norm(seen + (self.rows + self.columns).flatten(0, 1))
        return normalised


def find_grid(options: Options, image: ImageSpec) -> tuple[int, int]:
    """Rows and columns of the coarsest map. Raises InvalidRecipe where finer ones do not divide into its cells."""
    coarsest = max(options.strides)
    if any(coarsest % stride for stride in options.strides) or image.height % coarsest or image.width % coarsest:
        raise InvalidRecipe(
            f"model.options.strides {list(options.strides)}: each must divide the largest, and that the picture of "
            f"{image.height}×{image.width}"
        )
    return image.height // coarsest, image.width // coarsest


def build(options: Options, trunk: Trunk, vocabulary: int, context: int, image: ImageSpec) -> PrefixCaptioner:
    """`context`: positions for features and caption together. Raises InvalidRecipe."""
    return PrefixCaptioner(trunk, options, vocabulary, context, image)


def shrink(options: Options, factor: float) -> Options:
    """See training/networks/shrink.py."""
    return msgspec.structs.replace(
        options, channels=scale_width(options.channels, factor), decoder=llama.shrink(options.decoder, factor)
    )
