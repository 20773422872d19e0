"""k-means of numbers, exact and fast: they are sorted once, and from then on a cluster is a range.

Lloyd's algorithm (1982) on one axis: the nearest centroid changes at the middle between two of them, so every round is
a binary search for each middle, however many numbers there are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_ROUNDS = 300
Numbers = NDArray[np.float64]


def find_centroids(numbers: NDArray[np.floating], count: int) -> Numbers:
    """At most `count` centroids, ascending, of numbers [n]. They start evenly spread over the whole range, which Han et
    al. found best for weights: few of them are large, and those matter most."""
    ordered = np.sort(numbers.astype(np.float64))
    sums = np.concatenate(([0.0], np.cumsum(ordered)))
    centroids = np.linspace(ordered[0], ordered[-1], count)
    ends = np.zeros(0, np.int64)
    for _ in range(MAX_ROUNDS):
        before, ends = ends, np.searchsorted(ordered, middles(centroids))
        if np.array_equal(before, ends):
            break
        edges = np.concatenate(([0], ends, [len(ordered)]))
        counts, totals = np.diff(edges), np.diff(sums[edges])
        # A centroid that no number is nearest to stays where it is: it may get some again.
        centroids = np.where(counts > 0, totals / np.maximum(counts, 1), centroids)
    return centroids


def nearest(numbers: NDArray[np.floating], centroids: Numbers) -> NDArray[np.float32]:
    """The centroid nearest to each number, in the numbers' shape."""
    rounded: NDArray[np.float32] = centroids.astype(np.float32)[np.searchsorted(middles(centroids), numbers)]
    return rounded


def middles(centroids: Numbers) -> Numbers:
    """Between every two neighbours."""
    between: Numbers = (centroids[1:] + centroids[:-1]) / 2
    return between
