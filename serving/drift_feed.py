"""Brings answered requests to the monitor, after the answer has left and never at its expense.

One thread serves all models. Its queue is bounded, and it works only a configured share of the time: what does not fit
is dropped and counted, so that under load monitoring sees fewer pictures instead of callers seeing a slower server.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from monitoring.drift import BinCounts
from monitoring.monitor import Monitor
from tasks.task import Array, Params, Prediction, Sample, Task

log = logging.getLogger(__name__)


@dataclass
class DriftCounts:
    """Of one model version: pictures observed and dropped, and their counts by signal since the start."""

    observed: int = 0
    dropped: int = 0
    failed: int = 0
    bins: dict[str, BinCounts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Watched:
    """One model version under watch."""

    task: Task
    monitor: Monitor
    counts: DriftCounts
    params: Params
    """Defaults: what a caller asks to see must not change what is watched."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One answered picture. A tensor has no sample yet: that is made when there is time for it."""

    watched: Watched
    sample: Sample | None
    tensors: Mapping[str, Array]
    outputs: Mapping[str, Array]


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
        """How many pictures would be taken now."""
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
                log.exception("the signals of a picture could not be computed")
            busy_s = perf_counter() - started_at
            del item
            self._closed.wait(busy_s / self._cpu_share - busy_s)


def observe(item: Observed) -> None:
    """Signals of one picture → monitor and counters."""
    watched, counts = item.watched, item.watched.counts
    sample = item.sample or watched.task.sample_from_tensor(next(iter(item.tensors.values())))
    prediction: Prediction = watched.task.decode_output(item.outputs, sample, watched.params)
    signals = watched.task.signals(sample, item.tensors, item.outputs, prediction)
    for name, weights in watched.monitor.observe(signals).items():
        picture, total = BinCounts(weights, weights * weights), counts.bins.get(name)
        # Replaced as a whole, so that a scrape on another thread never sees weights without their squares.
        counts.bins[name] = total.plus(picture) if total else picture
    counts.observed += 1
