"""A bounded sliding window of binned pictures whose counts are kept up to date: O(1) per picture, never growing."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np

from monitoring.drift import BinCounts
from monitoring.profile import BinWeights, Profile


class Window:
    """The last `size` pictures. Adding and taking away is exact, because weights lie on a grid (profile.py)."""

    def __init__(self, profile: Profile, size: int) -> None:
        self._size = size
        self._pictures: deque[Mapping[str, BinWeights]] = deque()
        self._weights = {name: np.zeros(h.num_bins) for name, h in profile.signals.items()}
        self._squares = {n: np.zeros(h.num_bins) for n, h in profile.signals.items() if h.kind == "weighted"}

    def __len__(self) -> int:
        return len(self._pictures)

    def add(self, picture: Mapping[str, BinWeights]) -> None:
        """One picture, binned by the profile of this window; the oldest leaves when the window is full."""
        if len(self._pictures) == self._size:
            self._count(self._pictures.popleft(), -1.0)
        self._pictures.append(picture)
        self._count(picture, 1.0)

    def _count(self, picture: Mapping[str, BinWeights], sign: float) -> None:
        for name, weights in picture.items():
            self._weights[name] += sign * weights
            if name in self._squares:
                self._squares[name] += sign * weights * weights

    def counts(self) -> dict[str, BinCounts]:
        """A copy of the counts by signal."""
        copies = {name: weights.copy() for name, weights in self._weights.items()}
        return {n: BinCounts(w, self._squares[n].copy() if n in self._squares else w) for n, w in copies.items()}
