from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import InvalidRecipe
from training.language.token_stream import TokenStream
from training.language.windows import UNCOUNTED, JudgingWindows, LearningWindows

END = 0
TEXTS = st.lists(st.integers(1, 40), min_size=1, max_size=12)
"""Lengths in tokens."""


def stream_of(lengths: list[int]) -> TokenStream:
    """Every token is another number, so that what is seen of a text can be told."""
    tokens, starts, place = [], [0], 1
    for length in lengths:
        tokens += [END, *range(place, place + length)]
        place += length
        starts.append(len(tokens))
    return TokenStream(
        np.array([*tokens, END], np.int32), np.array(starts, np.int64), np.array([3 * n for n in lengths], np.int64)
    )


@given(TEXTS, st.integers(2, 16), st.integers(0, 5))
@settings(deadline=None)
def test_no_token_is_learnt_twice_in_an_epoch_and_few_are_left_out(
    lengths: list[int], context: int, epoch: int
) -> None:
    stream = stream_of(lengths)
    if len(stream.tokens) - 1 < context:
        with pytest.raises(InvalidRecipe, match=r"text\.context"):
            LearningWindows(stream, context)
        return
    windows = LearningWindows(stream, context)
    windows.begin_epoch(epoch)
    inputs, targets = windows.__getitems__(list(range(len(windows))))
    assert inputs.shape == targets.shape == (len(windows), context)
    ring = stream.tokens[:-1].tolist()
    pairs = set(zip(ring, ring[1:] + ring[:1], strict=True))
    assert set(zip(inputs.flatten().tolist(), targets.flatten().tolist(), strict=True)) <= pairs
    learnt = [token for token in targets.flatten().tolist() if token != END]
    assert len(learnt) == len(set(learnt))
    assert len(ring) - targets.numel() < context


def test_every_epoch_cuts_at_other_places() -> None:
    windows = LearningWindows(stream_of([40] * 10), 8)
    seen = []
    for epoch in (0, 1, 0):
        windows.begin_epoch(epoch)
        seen.append(windows.__getitems__([0, 1, 2])[0].tolist())
    assert seen[0] == seen[2]
    assert seen[0] != seen[1]


@given(TEXTS, st.integers(2, 16))
@settings(deadline=None)
def test_every_token_every_end_and_every_byte_counts_once(lengths: list[int], context: int) -> None:
    windows = JudgingWindows(stream_of(lengths), context)
    inputs, targets, num_bytes = windows.__getitems__(list(range(len(windows))))
    counted = targets[targets != UNCOUNTED]
    assert sorted(counted.tolist()) == sorted([*range(1, sum(lengths) + 1), *([END] * len(lengths))])
    assert int(num_bytes.sum()) == 3 * sum(lengths)
    assert inputs.shape[1] <= context


@given(TEXTS, st.integers(2, 16))
@settings(deadline=None)
def test_a_target_knows_its_own_text_alone_and_half_a_context_of_it(lengths: list[int], context: int) -> None:
    lasts = np.cumsum(lengths)
    windows = JudgingWindows(stream_of(lengths), context)
    for index in range(len(windows)):
        inputs, targets, _ = windows[index]
        tokens = [token for token in (*inputs[0].tolist(), *targets[0].tolist()) if token not in (END, UNCOUNTED)]
        (text,) = {int(np.searchsorted(lasts, token)) for token in tokens}
        for place in torch.nonzero(targets[0] != UNCOUNTED).flatten().tolist():
            target = int(targets[0, place]) or int(lasts[text]) + 1
            before = target - (int(lasts[text]) - lengths[text])
            assert place + 1 >= min(before, context // 2)


def test_what_is_shorter_is_padded_on_the_right() -> None:
    inputs, targets, num_bytes = JudgingWindows(stream_of([2, 5]), 16).__getitems__([0, 1])
    assert inputs.tolist() == [[0, 3, 4, 5, 6, 7], [0, 1, 2, 0, 0, 0]]
    assert targets.tolist() == [[3, 4, 5, 6, 7, 0], [1, 2, 0, UNCOUNTED, UNCOUNTED, UNCOUNTED]]
    assert num_bytes.tolist() == [15, 6]


def test_a_part_of_the_texts_is_whole_texts() -> None:
    stream = stream_of([4] * 50)
    windows = JudgingWindows(stream, 16, max_bytes=100)
    assert len(windows) == 9
    assert int(windows.__getitems__(list(range(9)))[2].sum()) == 108
    again = JudgingWindows(stream, 16, max_bytes=100)
    assert torch.equal(windows.__getitems__([0, 5])[0], again.__getitems__([0, 5])[0])
