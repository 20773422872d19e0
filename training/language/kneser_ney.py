"""The yardstick of a language model: a 5-gram of bytes with interpolated, modified Kneser–Ney smoothing.

Kneser and Ney, "Improved backing-off for m-gram language modeling" (1995); Chen and Goodman, "An empirical study of
smoothing techniques for language modeling" (1998), equations 26 to 28. An n-gram of symbols (0–255, and END) is packed
into one integer, so that counting is sorting and looking up is a binary search: a few megabytes take seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ORDER = 5
END = 256
"""Stands before the first byte of a text as often as it takes, and once after the last."""
NUM_SYMBOLS, BITS = 257, 9

Grams = NDArray[np.int64]
"""Packed n-grams: the last symbol in the lowest bits."""
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Level:
    """The n-grams of one order. `grams` [G], sorted, and what each adds to a probability, its `counts` less the
    discount over those of its history: `shares` [G]. `histories` [H], sorted, and the weight of the next lower order
    after each: `weights` [H]."""

    order: int
    grams: Grams
    shares: Numbers
    histories: Grams
    weights: Numbers

    def refine(self, lower: Numbers, grams: Grams) -> Numbers:
        """Probabilities [N] of the last symbols of packed n-grams [N] of the highest order, given those by the next
        lower order; the same where the history was never seen."""
        own = grams & mask(self.order)
        weights = look_up(self.histories, self.weights, own >> BITS, absent=1.0)
        return look_up(self.grams, self.shares, own, absent=0.0) + weights * lower


class KneserNey:
    """A model of texts."""

    def __init__(self, levels: Sequence[Level]) -> None:
        """`levels`: order 1 first."""
        self._levels = tuple(levels)

    @classmethod
    def fit(cls, texts: Sequence[bytes]) -> KneserNey:
        """Learns from texts, each for itself."""
        grams, counts = np.unique(pack_texts(texts), return_counts=True)
        levels = [build_level(ORDER, grams, counts)]
        for order in range(ORDER - 1, 0, -1):
            # A lower order counts in how many ways an n-gram goes on to the left, not how often it occurs.
            grams, counts = np.unique(grams & mask(order), return_counts=True)
            levels.append(build_level(order, grams, counts))
        return cls(levels[::-1])

    def probabilities(self, grams: Grams) -> Numbers:
        """Of the last symbol of each packed 5-gram [N] after the four before it."""
        found = np.full(len(grams), 1 / NUM_SYMBOLS)
        for level in self._levels:
            found = level.refine(found, grams)
        return found

    def bits_per_byte(self, texts: Sequence[bytes]) -> float:
        """Mean over all bytes of the texts. That a text ends where it does is predicted too, and costs bits, but is no
        byte. Its first byte is conditioned on nothing but being the first."""
        bits = -np.log2(self.probabilities(pack_texts(texts))).sum()
        return float(bits / sum(map(len, texts)))


def pack_texts(texts: Sequence[bytes]) -> Grams:
    """The packed 5-grams that end in each byte of each text and in its end, in order."""
    padding = np.full(ORDER - 1, END, np.int64)
    packed = []
    for text in texts:
        symbols = np.concatenate((padding, np.frombuffer(text, np.uint8), [END])).astype(np.int64)
        windows = np.lib.stride_tricks.sliding_window_view(symbols, ORDER)
        packed.append(windows @ (1 << BITS * np.arange(ORDER - 1, -1, -1, dtype=np.int64)))
    return np.concatenate(packed)


def build_level(order: int, grams: Grams, counts: NDArray[np.int64]) -> Level:
    """Sorted n-grams and their counts → what each is worth."""
    discounts = estimate_discounts(counts)[np.minimum(counts, 3)]
    histories, firsts = np.unique(grams >> BITS, return_index=True)
    totals = np.add.reduceat(counts, firsts)
    sizes = np.diff([*firsts, len(grams)])
    return Level(
        order,
        grams,
        (counts - discounts) / np.repeat(totals, sizes),
        histories,
        # All that was discounted is what the next lower order hands out.
        np.add.reduceat(discounts, firsts) / totals,
    )


def estimate_discounts(counts: NDArray[np.int64]) -> Numbers:
    """What is taken from a count of 0, 1, 2, and 3 or more, by how many n-grams have which count: float64 [4]. Where
    there are too few to tell, 0.5, 1 and 1.5 are taken instead."""
    having = [int(np.count_nonzero(counts == count)) for count in range(5)]
    if 0 in having[1:]:
        return np.array([0.0, 0.5, 1.0, 1.5])
    share = having[1] / (having[1] + 2 * having[2])
    found = [count - (count + 1) * share * having[count + 1] / having[count] for count in (1, 2, 3)]
    # Never below nothing, never the whole count.
    return np.array([0.0, *np.clip(found, 0.01, (0.99, 1.99, 2.99))])


def mask(order: int) -> int:
    """The bits of the last symbols."""
    return int((1 << BITS * order) - 1)


def look_up(keys: Grams, values: Numbers, wanted: Grams, absent: float) -> Numbers:
    """The value of each wanted key; `absent` where it is none of the sorted keys."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], absent)
