"""The golden prompts: those whose continuation every sound host must repeat.

Of each continuation the golden set holds the tokens up to the first place where a difference within the tolerance
could have changed the token: from there on hosts may differ without anything being wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from export.generative.continuation import Continuation
from registry.golden import NO_TOKEN


def certain_tokens(each: Continuation, tolerance: float, limit: int) -> list[int]:
    """The beginning of a continuation that no difference of `tolerance` in any logit changes; at most `limit`."""
    count = 0
    while count < min(limit, len(each.tokens)) and each.margins[count] > tolerance:
        count += 1
    return each.tokens[:count]


def choose_prompts(
    continuations: Mapping[str, Sequence[Continuation]], tolerances: Mapping[str, float], count: int, limit: int
) -> list[int]:
    """Indices of at most `count` prompts, short and long ones.

    `continuations`: variant → those of the same prompts; `tolerances`: variant → that of its logits. Preferred are
    prompts after which as many tokens as possible are certain in every variant."""
    num_prompts = len(next(iter(continuations.values())))
    certain = [
        min(
            len(certain_tokens(each[index], tolerances[name], limit)) / max(1, min(limit, len(each[index].tokens)))
            for name, each in continuations.items()
        )
        for index in range(num_prompts)
    ]
    # Three times as many as are wanted, so that there is something to choose the lengths from.
    best = sorted(range(num_prompts), key=lambda index: -certain[index])[: 3 * count]
    best = [index for index in best if certain[index] > 0] or best
    lengths = next(iter(continuations.values()))
    by_length = sorted(best, key=lambda index: lengths[index].prompt.length)
    places = np.linspace(0, len(by_length) - 1, min(count, len(by_length))).round().astype(int)
    return [by_length[int(place)] for place in places]


def golden_arrays(
    chosen: Sequence[Continuation], tolerance: float, limit: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """`logits` FP32 [inputs, vocabulary] and `continuation` INT64 [inputs, limit], padded with −1."""
    continuation = np.full((len(chosen), limit), NO_TOKEN, np.int64)
    for row, each in zip(continuation, chosen, strict=True):
        tokens = certain_tokens(each, tolerance, limit)
        row[: len(tokens)] = tokens
    return np.stack([each.first_logits for each in chosen]), continuation
