"""Which channels leave: as many as asked for, the smallest, in multiples."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from export.compress.channel_groups import ChannelGroup, count_kept, count_removed


def group(name: str, scores: list[float]) -> ChannelGroup:
    return ChannelGroup(name, torch.tensor(scores), lambda indices: None)


@given(st.integers(1, 600), st.floats(0, 1), st.integers(1, 32))
def test_what_stays_is_a_multiple_and_never_nothing(size: int, share: float, round_to: int) -> None:
    kept = count_kept(size, share, round_to)
    assert 1 <= kept <= size
    assert kept == size or kept % round_to == 0
    if kept not in (size, round_to):
        assert abs(kept - (1 - share) * size) <= round_to / 2


def test_in_rounds_the_share_is_of_the_first_channels() -> None:
    half_gone = group("a", [1.0] * 32)
    removed = count_removed([half_gone], {"a": 64}, 0.75, 8, "uniform")
    assert removed == {"a": 16}
    assert count_removed([half_gone], {"a": 64}, 0.25, 8, "uniform") == {"a": 0}


def test_ranked_together_the_weaker_group_loses_more_but_not_everything() -> None:
    groups = [group("weak", [0.1 + 0.001 * i for i in range(40)]), group("strong", [5.0 + i for i in range(40)])]
    sizes = {"weak": 40, "strong": 40}
    assert count_removed(groups, sizes, 0.25, 4, "global") == {"weak": 20, "strong": 0}
    assert count_removed(groups, sizes, 0.75, 4, "global") == {"weak": 36, "strong": 24}


def test_the_smallest_leave() -> None:
    assert group("a", [3.0, 1.0, 2.0, 0.5]).smallest(2) == [1, 3]
