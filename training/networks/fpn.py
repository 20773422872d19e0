"""Feature pyramid (Lin et al., 2017): the coarse maps of a backbone, which know what things are, tell the fine ones.

After the way down a way back up (Liu et al., "Path Aggregation Network", 2018) carries positions to the coarse maps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.errors import InvalidRecipe
from training.networks.layers import convolve
from training.networks.network import FeatureMap


class FeaturePyramid(nn.Module):
    """Chosen maps of a backbone, finest first → maps of the same sizes, all of `channels` channels."""

    def __init__(self, feature_maps: Sequence[FeatureMap], channels: int) -> None:
        super().__init__()
        steps = len(feature_maps) - 1
        self.narrow = nn.ModuleList(convolve(each.channels, channels, 1) for each in feature_maps)
        self.merge_down = nn.ModuleList(convolve(2 * channels, channels) for _ in range(steps))
        self.shrink = nn.ModuleList(convolve(channels, channels, stride=2) for _ in range(steps))
        self.merge_up = nn.ModuleList(convolve(2 * channels, channels) for _ in range(steps))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        levels = [narrow(each) for narrow, each in zip(self.narrow, maps, strict=True)]
        for index in range(len(levels) - 2, -1, -1):
            above = functional.interpolate(levels[index + 1], size=levels[index].shape[2:], mode="nearest")
            levels[index] = self.merge_down[index](torch.cat((levels[index], above), dim=1))
        for index in range(len(levels) - 1):
            below = self.shrink[index](levels[index])
            levels[index + 1] = self.merge_up[index](torch.cat((levels[index + 1], below), dim=1))
        return levels


def find_levels(feature_maps: Sequence[FeatureMap], strides: Sequence[int]) -> list[int]:
    """Which maps of a backbone have these strides, finest first. Raises InvalidRecipe naming those that exist."""
    known = [each.stride for each in feature_maps]
    missing = [stride for stride in strides if stride not in known]
    if missing:
        raise InvalidRecipe(
            f"model.options.strides: the backbone has no map of stride {', '.join(map(str, missing))} at this size of "
            f"picture; choose from {', '.join(map(str, known))}"
        )
    return sorted(known.index(stride) for stride in set(strides))
