"""Interleaved rounds: every contender takes its turn in every round, so that a slow minute of the machine hits all.

A ratio is taken within its round; the figure is the median over rounds with a bootstrap interval. Rounds in which the
host stole more than `MAX_STOLEN_SHARE` of the CPU are thrown away and repeated.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from benchmarks.machine import CpuTimes

MAX_STOLEN_SHARE = 0.02
MAX_REPEATS_PER_ROUND = 3
T = TypeVar("T")


@dataclass(frozen=True)
class Rounds(Generic[T]):
    """The kept rounds of all contenders, and what was thrown away."""

    kept: tuple[Mapping[str, T], ...]
    stolen_shares: tuple[float, ...]
    num_disturbed: int

    def median(self, name: str, figure: Callable[[T], float]) -> float:
        return statistics.median(figure(results[name]) for results in self.kept)

    def ratio(self, name: str, reference: str, figure: Callable[[T], float]) -> Interval:
        """Median of the ratios within each round."""
        return bootstrap_median([figure(results[name]) / figure(results[reference]) for results in self.kept])


@dataclass(frozen=True)
class Interval:
    """A median with its 95 % bootstrap interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f}, {self.high:.2f}]"


def bootstrap_median(values: Sequence[float], num_resamples: int = 2000) -> Interval:
    """Percentile bootstrap of the median (Efron, 1979)."""
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(np.asarray(values), (num_resamples, len(values))), axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return Interval(statistics.median(values), float(low), float(high))


def interleave(contenders: Mapping[str, Callable[[], T]], num_rounds: int, report: Callable[[str], None]) -> Rounds[T]:
    """Run every contender once a round until `num_rounds` undisturbed rounds are there.

    On a machine that is always disturbed the least stolen attempt is kept after `MAX_REPEATS_PER_ROUND`, and counted.
    """
    kept: list[Mapping[str, T]] = []
    shares: list[float] = []
    num_disturbed = 0
    for index in range(num_rounds):
        attempts: list[tuple[float, Mapping[str, T]]] = []
        while not attempts or (attempts[-1][0] > MAX_STOLEN_SHARE and len(attempts) <= MAX_REPEATS_PER_ROUND):
            before = CpuTimes.now()
            results: Mapping[str, T] = {name: contend() for name, contend in contenders.items()}
            attempts.append((CpuTimes.now().stolen_share_since(before), results))
        num_disturbed += sum(share > MAX_STOLEN_SHARE for share, _ in attempts)
        share, results = min(attempts, key=lambda attempt: attempt[0])
        kept.append(results)
        shares.append(share)
        report(f"round {index + 1}/{num_rounds}, stolen {share:.1%}")
    return Rounds(tuple(kept), tuple(shares), num_disturbed)
