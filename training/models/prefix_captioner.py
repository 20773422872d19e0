"""A picture as a prefix of the sentence about it, in the line of GIT (Wang et al., 2022).

Chosen maps of any backbone become one embedding for each cell of the coarsest of them, and a decoder-only transformer
attends to these as to words that were said before (attention over a picture while captioning it: Xu et al., "Show,
attend and tell", 2015). Nothing but the order of training ties a word to a place: what the decoder looked at can be
read from its attention.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.errors import InvalidRecipe
from tasks.image import ImageSpec
from training.models import llama
from training.networks import architecture
from training.networks.captioner import Captioner
from training.networks.config import Building
from training.networks.fpn import FeaturePyramid, find_levels
from training.networks.network import Trunk

BUILDS: Building = "captioner"
Count = Annotated[int, msgspec.Meta(ge=1)]


class Options(architecture.Options, frozen=True, kw_only=True):
    """`strides`: the maps of the backbone that are seen; the coarsest has a position for each cell of the grid.
    `channels` of the pyramid that they go through first. `decoder`: see the architecture llama."""

    strides: Annotated[tuple[Count, ...], msgspec.Meta(min_length=1)] = (8, 16)
    channels: Count = 64
    decoder: llama.Options = llama.Options(width=128, depth=3, heads=4, kv_heads=4)


class PrefixCaptioner(Captioner):
    """See Captioner."""

    def __init__(self, trunk: Trunk, options: Options, vocabulary: int, context: int, image: ImageSpec) -> None:
        maps, width = trunk.backbone.feature_maps, options.decoder.width
        chosen = find_levels(maps, options.strides)
        grid = find_grid(options, image)
        super().__init__(trunk, llama.Llama(options.decoder, vocabulary, context), grid)
        self._chosen = chosen
        self._shares = [max(options.strides) // maps[index].stride for index in chosen]
        self.pyramid = FeaturePyramid([maps[index] for index in chosen], options.channels)
        self.project = nn.Linear(options.channels * sum(share**2 for share in self._shares), width)
        self.rows = nn.Parameter(torch.randn(grid[0], 1, width) * POSITION_SCALE)
        self.columns = nn.Parameter(torch.randn(grid[1], width) * POSITION_SCALE)
        self.norm = llama.RMSNorm(width, options.decoder.norm_epsilon)

    def prefix(self, maps: list[Tensor]) -> Tensor:
        levels = self.pyramid([maps[index] for index in self._chosen])
        # A cell has all positions of the finer maps that lie in it, side by side: none of their detail is averaged.
        cells = [functional.pixel_unshuffle(x, share) for x, share in zip(levels, self._shares, strict=True)]
        seen = self.project(torch.cat(cells, dim=1).flatten(2).transpose(1, 2))
        normalised: Tensor = self.norm(seen + (self.rows + self.columns).flatten(0, 1))
        return normalised


POSITION_SCALE = 0.5
"""Standard deviation of the first positions: about that of what the cells show, so that neither hides the other."""


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
