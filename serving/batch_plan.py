"""Which of the warmed batch sizes a queue should be run in: pure arithmetic on measured costs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping

MEASUREMENT_NOISE = 0.05
"""Differences below this share are no reason to run a smaller batch."""


class BatchPlan:
    """Knows what each bucket costs on this host, and so whether padding up beats leaving some rows for the next run.

    Where the cost grows in step with the batch (a CPU), 9 rows are 8 now and 1 next; where a half-full batch costs
    the same as a full one (a GPU), they are 16 with padding.
    """

    def __init__(self, seconds_per_bucket: Mapping[int, float]) -> None:
        """`seconds_per_bucket`: batch size → seconds of one run, from the warm-up."""
        self.buckets = tuple(sorted(seconds_per_bucket))
        self.max_rows = self.buckets[-1]
        self.largest_run_s = seconds_per_bucket[self.max_rows]
        self._bucket_of = [self.buckets[bisect_left(self.buckets, rows)] for rows in range(self.max_rows + 1)]
        self._row_cost = [seconds_per_bucket[self._bucket_of[rows]] / max(rows, 1) for rows in range(self.max_rows + 1)]

    def bucket_of(self, num_rows: int) -> int:
        """The smallest warmed batch size that holds this many rows."""
        return self._bucket_of[num_rows]

    def run_s(self, num_rows: int) -> float:
        """Seconds of one run of so many rows, at most `max_rows`."""
        return self._row_cost[num_rows] * num_rows

    @property
    def best_row_s(self) -> float:
        """Seconds per row when the queue is long: what a newcomer has to wait for each row before it."""
        return min(self._row_cost[1:])

    def take(self, sizes: Iterable[int]) -> int:
        """How many items from the front of a queue to run now. `sizes`: rows of each item, in order, each at most
        `max_rows`. At least one, never more rows than `max_rows`; of those with about the cheapest row, the most."""
        costs = []
        rows = 0
        for size in sizes:
            rows += size
            if rows > self.max_rows:
                break
            costs.append(self._row_cost[rows])
        limit = min(costs) * (1 + MEASUREMENT_NOISE)
        return max(index for index, cost in enumerate(costs, start=1) if cost <= limit)
