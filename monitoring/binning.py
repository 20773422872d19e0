"""Where the bins of a scalar signal are cut: at quantiles of the reference, with room for values that repeat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TAIL_SHARE = 0.01
"""Mass of the two outermost bins. Shifts that touch few pictures show in the tails long before they move a decile."""


def scalar_edges(values: NDArray[np.float64], num_bins: int) -> tuple[float, ...]:
    """Strictly increasing cuts for values [n]: `num_bins` bins of equal mass, and a thin one at each end.

    A value that holds a whole bin's share by itself (a constant signal, the one width of a camera) gets a bin of its
    own, so that anything beside it is seen. NaN and infinities do not take part; without finite values, no cuts.
    """
    distinct, repeats = np.unique(values[np.isfinite(values)], return_counts=True)
    if not distinct.size:
        return ()
    num_values = int(repeats.sum())
    heavy = repeats * num_bins >= num_values
    cuts = [edge for index in np.flatnonzero(heavy) for edge in fence(distinct, int(index))]
    gaps = distinct[:-1] / 2 + distinct[1:] / 2
    num_below = np.cumsum(repeats)[:-1]
    for level in quantile_levels(num_bins):
        if not gaps.size:
            break
        nearest = np.abs(num_below - level * num_values).argmin()
        if not heavy[nearest] and not heavy[nearest + 1]:
            cuts.append(float(gaps[nearest]))
    return tuple(sorted({cut for cut in cuts if np.isfinite(cut)}))


def quantile_levels(num_bins: int) -> list[float]:
    """Shares below each cut: equal steps, and the two tails."""
    steps = [i / num_bins for i in range(1, num_bins)]
    return [level for level in (TAIL_SHARE, *steps, 1 - TAIL_SHARE) if 0 < level < 1]


def fence(distinct: NDArray[np.float64], index: int) -> tuple[float, float]:
    """Cuts just below and just above one repeated value, closer to it than to its neighbours, yet wide enough that
    another processor's rounding of the same value stays inside."""
    value = float(distinct[index])
    room = max(1e-6 * abs(value), 1e-9)
    low = max(value - room, (value + distinct[index - 1]) / 2) if index else value - room
    high = min(value + room, (value + distinct[index + 1]) / 2) if index + 1 < distinct.size else value + room
    return float(low), float(high)
