"""Windows of pictures that weigh on several bins, drawn so that extreme ones are common, and how rare each really is.

Importance sampling by exponential tilting (Siegmund, 1976): a proposal prefers pictures with much, or little, weight in
one bin. Windows come from the mixture of many such proposals and of the population itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]
DEVIATIONS = (-7.0, -5.0, -3.0, 3.0, 5.0, 7.0)
"""How far the proposals move a window's sum in one bin, in its standard deviations."""
BISECTIONS = 60


class Tilt(NamedTuple):
    """A proposal: pictures are drawn with odds exp(slope · weight in `bin`). `log_scale`: ln of the mean of that over
    the population; `cumulated` [pictures] are the probabilities, summed up."""

    bin: int
    slope: float
    log_scale: float
    cumulated: Weights


def draw_windows(
    population: Weights, size: int, num_draws: int, rng: np.random.Generator
) -> Iterator[tuple[Weights, float]]:
    """Windows [size, bins] of a population [pictures, bins], each with the weight that carries it back."""
    num_pictures, num_bins = population.shape
    tilts = [tilt for b in range(num_bins) for d in DEVIATIONS if (tilt := find_tilt(population, b, d, size))]
    for chosen in rng.integers(len(tilts) + 1, size=num_draws):
        if chosen == len(tilts):
            indices = rng.integers(num_pictures, size=size)
        else:
            indices = np.searchsorted(tilts[chosen].cumulated[:-1], rng.random(size))
        window = population[indices]
        sums = window.sum(axis=0)
        log_ratios = [0.0, *(tilt.slope * sums[tilt.bin] - size * tilt.log_scale for tilt in tilts)]
        yield window, math.exp(math.log(len(log_ratios)) - np.logaddexp.reduce(log_ratios))


def find_tilt(population: Weights, bin_index: int, deviations: float, size: int) -> Tilt | None:
    """The proposal that moves the expected sum of a window so far; None where no window can be that extreme."""
    column = population[:, bin_index]
    spread = float(column.std())
    wanted = float(column.mean()) + deviations * spread / math.sqrt(size)
    if not column.min() < wanted < column.max():
        return None
    low, high = -100 / spread, 100 / spread
    for _ in range(BISECTIONS):
        slope = (low + high) / 2
        exponents = slope * column
        odds = np.exp(exponents - exponents.max())
        low, high = (slope, high) if odds @ column < wanted * odds.sum() else (low, slope)
    log_scale = math.log(odds.mean()) + float(exponents.max())
    return Tilt(bin_index, slope, log_scale, np.cumsum(odds / odds.sum()))
