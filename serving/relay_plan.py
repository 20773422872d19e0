"""How rows are handed on to a runtime that puts batches together itself: spread over what may be in flight."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from serving.batch_plan import BatchPlan


class RelayPlan(BatchPlan):
    """As long as no more requests wait than may be in flight, each goes on by itself and at once: gathered here, they
    would be one piece that the other side can not spread over its own instances. A longer queue is shared out evenly.
    Nothing is padded."""

    def __init__(self, seconds_per_bucket: Mapping[int, float], num_slots: int) -> None:
        """`num_slots`: requests that may be in flight."""
        super().__init__(seconds_per_bucket)
        self._num_slots = num_slots
        # However fast the other side is, it may hang, and the event loop must not with it.
        self.largest_run_s = math.inf

    def bucket_of(self, num_rows: int) -> int:
        return num_rows

    def take(self, sizes: Iterable[int]) -> int:
        """As of a BatchPlan, but no more than a slot's share of the rows that wait."""
        waiting = list(sizes)
        share = min(self.max_rows, math.ceil(sum(waiting) / self._num_slots))
        rows = 0
        for index, size in enumerate(waiting):
            rows += size
            if rows > share:
                return max(index, 1)
        return len(waiting)
