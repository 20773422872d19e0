"""Brings answered requests to the monitor, after the answer has left and never at its expense.

One thread serves all models. Its queue is bounded, and it works only a configured share of the time: what does not fit
is dropped and counted, so that under load monitoring sees fewer requests instead of callers seeing a slower server.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from monitoring.drift import BinCounts
from monitoring.monitor import Monitor
from tasks.task import Observation

log = logging.getLogger(__name__)


@dataclass
class DriftCounts:
    """Of one model version: pictures or prompts observed and dropped, and their counts by signal since the start."""

    observed: int = 0
    dropped: int = 0
    failed: int = 0
    bins: dict[str, BinCounts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Watched:
    """One model version under watch."""

    monitor: Monitor
    counts: DriftCounts


@dataclass(frozen=True, slots=True)
class Observed:
    """One answered picture or prompt. `signals` is called when there is time for it, or never."""

    watched: Watched
    signals: Callable[[], Mapping[str, Observation]]


class DriftFeed:
    """A bounded queue and the thread that empties it."""

    def __init__(self, max_queue: int, cpu_share: float) -> None:
        self._queue: queue.SimpleQueue[Observed | None] = queue.SimpleQueue()
        self._max_queue, self._cpu_share = max_queue, cpu_share
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="drift", daemon=True)
        self._thread.start()

    def offer(self, observed: Sequence[Observed]) -> None:
        """Take what there is room for; count the rest as dropped. Called on the event loop, never waits."""
        for item in observed:
            if self._queue.qsize() >= self._max_queue:
                item.watched.counts.dropped += 1
            else:
                self._queue.put(item)

    def room(self) -> int:
        """How many would be taken now."""
        return max(0, self._max_queue - self._queue.qsize())

    def close(self) -> None:
        """Forget what is queued and end the thread."""
        self._closed.set()
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (item := self._queue.get()) is not None and not self._closed.is_set():
            started_at = perf_counter()
            try:
                observe(item)
            except Exception:
                item.watched.counts.failed += 1
                log.exception("the signals of an answer could not be computed")
            busy_s = perf_counter() - started_at
            del item
            self._closed.wait(busy_s / self._cpu_share - busy_s)


def observe(item: Observed) -> None:
    """Signals of one answer → monitor and counters."""
    counts = item.watched.counts
    for name, weights in item.watched.monitor.observe(item.signals()).items():
        one, total = BinCounts(weights, weights * weights), counts.bins.get(name)
        # Replaced as a whole, so that a scrape on another thread never sees weights without their squares.
        counts.bins[name] = total.plus(one) if total else one
    counts.observed += 1
