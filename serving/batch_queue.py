"""The queue between callers and a runtime: rows in order of arrival, taken a batch at a time."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from time import monotonic

from serving.batch_plan import BatchPlan
from serving.tracing.trace import CURRENT_TRACE
from tasks.task import Array

Tensors = Mapping[str, Array]


class QueuedItem:
    """One caller's rows. The future is touched by the loop alone."""

    __slots__ = ("arrived_at", "expires_at", "future", "num_rows", "tensors", "trace")

    def __init__(self, tensors: Tensors, num_rows: int, expires_at: float, future: asyncio.Future[Tensors]) -> None:
        self.tensors, self.num_rows, self.expires_at, self.future = tensors, num_rows, expires_at, future
        self.arrived_at, self.trace = monotonic(), CURRENT_TRACE.get()


class BatchQueue:
    """Appended to by the loop, taken from by any thread. `max_wait_s`: how long a batch that is not full is held back
    although a runtime is idle. `crowd`: how many rows in preparation keep every core that a run would need busy."""

    def __init__(self, plan: BatchPlan, max_wait_s: float, crowd: float = math.inf) -> None:
        self._plan, self._max_wait_s, self._crowd = plan, max_wait_s, crowd
        self._changed = threading.Condition(threading.Lock())
        self._items: deque[QueuedItem] = deque()
        self.num_rows = 0
        self.num_coming_rows = 0
        self.closed = False

    def append(self, item: QueuedItem) -> None:
        with self._changed:
            self._items.append(item)
            self.num_rows += item.num_rows
            self._changed.notify()

    def announce(self, num_rows: int) -> None:
        """So many rows are in preparation and will be appended; negative: so many were, or will not be."""
        with self._changed:
            self.num_coming_rows += num_rows
            if self._items and self.num_coming_rows < self._crowd:
                self._changed.notify_all()

    def withdraw(self, item: QueuedItem) -> int:
        """Take an item out again, if it is still there: 1 or 0."""
        with self._changed:
            if item not in self._items:
                return 0
            self._items.remove(item)
            self.num_rows -= item.num_rows
            return 1

    def close(self) -> None:
        """Hold nothing back any more; whoever takes gets what is left and then nothing."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def take(self) -> list[QueuedItem]:
        """Wait for work and take a batch of it; empty once the queue is closed and done."""
        with self._changed:
            idle_since = monotonic()
            while True:
                if not self._items:
                    if self.closed:
                        return []
                    self._changed.wait()
                    continue
                held_s = max(self._held_back_s(), self._crowded_out_s(idle_since))
                if held_s <= 0:
                    return self._take_batch()
                self._changed.wait(held_s)

    def take_now(self) -> tuple[list[QueuedItem], float]:
        """A batch, or none with the seconds after which to ask again (0: not before something is appended)."""
        with self._changed:
            if not self._items:
                return [], 0.0
            held_s = self._held_back_s()
            return ([], held_s) if held_s > 0 else (self._take_batch(), 0.0)

    def _take_batch(self) -> list[QueuedItem]:
        num_items = self._plan.take(item.num_rows for item in self._items)
        items = [self._items.popleft() for _ in range(num_items)]
        self.num_rows -= sum(item.num_rows for item in items)
        if self._items:
            self._changed.notify()
        return items

    def _held_back_s(self) -> float:
        """How much longer the first item should wait for company."""
        if not self._max_wait_s or self._is_full_or_closed():
            return 0.0
        return self._items[0].arrived_at + self._max_wait_s - monotonic()

    def _crowded_out_s(self, idle_since: float) -> float:
        """How much longer a run should leave the cores to those that prepare rows for it. They would only take turns
        on them; where preparing goes first, its rows share the run, and nobody waits for two."""
        if self.num_coming_rows < self._crowd or self._is_full_or_closed():
            return 0.0
        return latest_start(self._items, self._plan, idle_since) - monotonic()

    def _is_full_or_closed(self) -> bool:
        return self.closed or self.num_rows >= self._plan.max_rows


def latest_start(items: Sequence[QueuedItem], plan: BatchPlan, idle_since: float) -> float:
    """Until when, on the clock of `monotonic`, a run of these rows may wait for others.

    No longer than the first of them alone would take to run: where rows cost more to prepare than to run, they are not
    worth waiting for. And not so long that somebody's deadline passes, which it would have held without them."""
    first = items[0]
    patience_ends_at = max(idle_since, first.arrived_at) + plan.run_s(first.num_rows)
    earliest_deadline = min(item.expires_at for item in items)
    return min(patience_ends_at, earliest_deadline - plan.run_s(sum(item.num_rows for item in items)))
