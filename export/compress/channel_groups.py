"""Groups of channels that can leave a network, and which of them leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Ranking = Literal["uniform", "global"]
MOST_REMOVED = 0.9
"""Share of its channels that a group loses at most where all groups are ranked together."""


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that stand at the same places of several layers: one leaves all of them, or none.

    `scores` FP32 [channels]: how large the weights of each are, in means of the group. `remove` takes the indices of
    those that go; after it the groups must be found anew."""

    name: str
    scores: Tensor
    remove: Callable[[Sequence[int]], None]

    def __len__(self) -> int:
        return len(self.scores)

    def smallest(self, count: int) -> list[int]:
        """Indices of the channels that count least."""
        return sorted(int(index) for index in self.scores.argsort()[:count])


def count_kept(size: int, share: float, round_to: int) -> int:
    """How many of `size` channels stay where this share should go: a multiple of `round_to`, at least one of it; all
    where there are no more than that."""
    return min(size, max(round_to, round((1 - share) * size / round_to) * round_to))


def count_removed(
    groups: Sequence[ChannelGroup], sizes: Mapping[str, int], share: float, round_to: int, ranking: Ranking
) -> dict[str, int]:
    """Name of a group → channels that it loses. `share` is of what the groups had at first: `sizes`."""
    if ranking == "uniform":
        kept = {group.name: count_kept(sizes[group.name], share, round_to) for group in groups}
    else:
        kept = rank_together(groups, sizes, share, round_to)
    return {group.name: max(0, len(group) - kept[group.name]) for group in groups}


def rank_together(
    groups: Sequence[ChannelGroup], sizes: Mapping[str, int], share: float, round_to: int
) -> dict[str, int]:
    """Name of a group → channels that it keeps, if the smallest of all groups leave."""
    floors = [count_kept(sizes[group.name], MOST_REMOVED, round_to) for group in groups]
    free = [
        group.scores.sort().values[: max(0, len(group) - floor)] for group, floor in zip(groups, floors, strict=True)
    ]
    total = sum(sizes[group.name] for group in groups)
    num_removed = round(share * total) - (total - sum(map(len, groups)))
    owners = torch.cat([torch.full((len(scores),), index) for index, scores in enumerate(free)])
    leaving = owners[torch.cat(free).argsort()[: max(0, num_removed)]].bincount(minlength=len(groups))
    return {
        group.name: count_kept(len(group), int(gone) / len(group), round_to)
        for group, gone in zip(groups, leaving, strict=True)
    }
