"""Sampling, and the way from the event loop to the files: a bounded queue and a thread of its own."""

from __future__ import annotations

import queue
import random
import threading
from typing import Protocol

from serving.capture.item import CapturedAnswer, CapturedLabel
from serving.capture.statistics import OUTCOMES, CaptureStatistics

MAX_QUEUED, MAX_QUEUED_BYTES = 1_024, 64 * 2**20
TEND_SECONDS = 1.0
CLOSE_SECONDS = 10.0


class Writer(Protocol):
    """Where it all goes. Called on one thread; nothing is raised."""

    def write(self, item: CapturedAnswer | CapturedLabel) -> None: ...

    def tend(self) -> None:
        """To be called every now and then."""
        ...

    def close(self) -> None: ...


class Capture:
    """Nobody waits for it: what there is no room for in the queue is dropped and counted."""

    def __init__(self, share: float, writer: Writer, statistics: CaptureStatistics) -> None:
        self._share, self._writer, self._statistics = share, writer, statistics
        self._queue: queue.SimpleQueue[CapturedAnswer | CapturedLabel | None] = queue.SimpleQueue()
        self._queued_bytes, self._lock = 0, threading.Lock()
        self._thread = threading.Thread(target=self._work, name="capture", daemon=True)
        self._thread.start()

    def wants(self) -> bool:
        """Whether the next answer is one of the sample."""
        return random.random() < self._share

    def offer(self, answer: CapturedAnswer) -> None:
        """On the event loop."""
        self._put(answer)

    def offer_label(self, label: CapturedLabel) -> None:
        """On the event loop. Labels are not sampled: nobody knows here whether their answers were."""
        self._put(label)

    def _put(self, item: CapturedAnswer | CapturedLabel) -> None:
        for outcome in OUTCOMES:
            self._statistics.outcomes.setdefault((item.model, outcome), 0)
        num_bytes = item.num_bytes
        with self._lock:
            is_full = self._queue.qsize() >= MAX_QUEUED or self._queued_bytes + num_bytes > MAX_QUEUED_BYTES
            if not is_full:
                self._queued_bytes += num_bytes
        if is_full:
            self._statistics.count(item.model, "dropped")
        else:
            self._queue.put(item)

    def close(self) -> None:
        """Write what is queued and finish all files, unless the disk takes too long."""
        self._queue.put(None)
        self._thread.join(CLOSE_SECONDS)

    def _work(self) -> None:
        while True:
            self._writer.tend()
            try:
                item = self._queue.get(timeout=TEND_SECONDS)
            except queue.Empty:
                continue
            if item is None:
                self._writer.close()
                return
            self._writer.write(item)
            with self._lock:
                self._queued_bytes -= item.num_bytes
            del item
