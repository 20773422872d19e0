"""The scheduler of batchable stages: many callers, one runtime, batches as large as the queue happens to be.

It is work-conserving: an idle runtime takes what is there at once, or, where it would need cores that are all busy with
decoding what comes next, when that is there too; while it is busy requests gather. The event loop appends to a queue,
the runtime's slots take batches from it, and the loop hands every caller its rows. A caller's future travels inside the
queued item, so a caller who leaves can not disturb those who share the batch.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

import numpy as np

from serving.batch_plan import BatchPlan
from serving.batch_queue import BatchQueue, QueuedItem, Tensors
from serving.deadline import Deadline
from serving.runtimes.runtime import Runtime
from serving.slots import Executed, open_slots
from serving.statistics import ModelStatistics
from serving.tracing.trace import note_stage
from tasks.errors import DeadlineExceeded, NotReady, Overloaded, TidegateError, TooLarge

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """`max_queue`: rows that may wait. `max_wait_s`: how long an idle runtime holds back a batch that is not full.
    `full_decoding`: how many pictures in decoding keep all cores busy; infinite: however many, some are free."""

    max_queue: int
    max_wait_s: float = 0.0
    full_decoding: float = math.inf


class Batcher:
    """Queues rows for one runtime. All methods are called on the event loop it was built on."""

    def __init__(self, runtime: Runtime, plan: BatchPlan, limits: BatchLimits, statistics: ModelStatistics) -> None:
        self._plan, self._limits, self._statistics = plan, limits, statistics
        self._num_slots = runtime.slots
        self.loop = asyncio.get_running_loop()
        self._queue = BatchQueue(plan, limits.max_wait_s, limits.full_decoding if runtime.on_cpu else math.inf)
        self._slots = open_slots(runtime, plan, self._queue, self._deliver)
        self._unanswered: set[QueuedItem] = set()
        self._next_expiry = math.inf
        self._expiry_timer: asyncio.TimerHandle | None = None

    @property
    def max_rows(self) -> int:
        """The largest batch the runtime is given."""
        return self._plan.max_rows

    @property
    def num_waiting_rows(self) -> int:
        """Rows that wait for the runtime, and rows still being decoded for it."""
        return self._queue.num_rows + self._queue.num_coming_rows

    def stalled_s(self) -> float:
        """For how long the slowest slot has been at its current batch."""
        return self._slots.stalled_s()

    def reserve(self, num_rows: int) -> None:
        """Promise a place in the queue to rows that must be decoded first. Raises Overloaded, TooLarge or NotReady."""
        self.refuse_excess(num_rows)
        self._queue.announce(num_rows)

    def unreserve(self, num_rows: int) -> None:
        """Give promised places back, used or not."""
        self._queue.announce(-num_rows)

    def refuse_excess(self, num_rows: int) -> None:
        """Raises Overloaded, TooLarge or NotReady where so many rows would find no place in the queue."""
        if self._queue.closed:
            raise NotReady("this version of the model is being unloaded; send the request again")
        if num_rows > self._limits.max_queue:
            raise TooLarge(f"{num_rows} items at once; the queue holds {self._limits.max_queue}: send fewer")
        if self.num_waiting_rows + num_rows > self._limits.max_queue:
            self._statistics.num_refused += 1
            wait_s = self.num_waiting_rows * self._plan.best_row_s / self._num_slots
            raise Overloaded(
                f"the queue is full ({self.num_waiting_rows} items wait); come back later", max(1.0, wait_s)
            )

    async def infer(self, tensors: Tensors, num_rows: int, deadline: Deadline) -> Tensors:
        """Tensors [num_rows, …] by name → the graph's outputs [num_rows, …]. More rows than `max_rows` are split.

        Raises Overloaded, TooLarge, DeadlineExceeded, or NotReady if the runtime fails. Cancelling the caller takes
        its rows out of the queue.
        """
        self.refuse_excess(num_rows)
        if num_rows <= self.max_rows:
            return await self._submit(tensors, num_rows, deadline)
        starts = range(0, num_rows, self.max_rows)
        pieces = [{name: array[at : at + self.max_rows] for name, array in tensors.items()} for at in starts]
        sizes = [min(self.max_rows, num_rows - at) for at in starts]
        waits = [self._submit(piece, size, deadline) for piece, size in zip(pieces, sizes, strict=True)]
        results = await gather_or_cancel(waits)
        return {name: np.concatenate([result[name] for result in results]) for name in results[0]}

    async def _submit(self, tensors: Tensors, num_rows: int, deadline: Deadline) -> Tensors:
        item = QueuedItem(tensors, num_rows, deadline.expires_at, self.loop.create_future())
        if item.expires_at <= item.arrived_at:
            self._statistics.num_expired += 1
            raise DeadlineExceeded("the deadline passed before the request reached the queue")
        self._unanswered.add(item)
        if item.expires_at < self._next_expiry:
            self._arm_expiry(item.expires_at)
        self._queue.append(item)
        self._slots.wake()
        try:
            return await item.future
        except asyncio.CancelledError:
            self._statistics.num_cancelled += self._withdraw(item)
            raise
        finally:
            # The future's exception holds this frame: with the item it would be a cycle, and keep the tensors for long.
            del item

    def _withdraw(self, item: QueuedItem) -> int:
        """Nobody waits for this item any more. 1 if that spares the runtime its rows, else 0."""
        self._unanswered.discard(item)
        return self._queue.withdraw(item)

    def _arm_expiry(self, expires_at: float) -> None:
        """One timer for all: set to the earliest deadline, so that an ordinary request costs no timer of its own."""
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
        self._next_expiry = expires_at
        self._expiry_timer = self.loop.call_at(expires_at, self._expire)

    def _expire(self) -> None:
        """Answer everybody whose time is up, queued or running."""
        now = monotonic()
        self._next_expiry, self._expiry_timer = math.inf, None
        for item in [item for item in self._unanswered if item.expires_at <= now]:
            self._withdraw(item)
            self._statistics.num_expired += 1
            if not item.future.done():
                item.future.set_exception(DeadlineExceeded("the deadline passed before the model had answered"))
        earliest = min((item.expires_at for item in self._unanswered), default=math.inf)
        if earliest < math.inf:
            self._arm_expiry(earliest)

    async def close(self, timeout_s: float) -> bool:
        """Run what is queued, refuse what comes. False if a run has not returned in time: what it holds must then be
        left alone."""
        self._queue.close()
        has_finished = await self._slots.finish(timeout_s)
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
        return has_finished

    def _deliver(self, executed: Executed) -> None:
        """On the loop: give every caller who is still there its rows."""
        items, outputs, bucket, started_at, finished_at = executed
        statistics, compute_s = self._statistics, finished_at - started_at
        start = 0
        for item in items:
            self._unanswered.discard(item)
            stop = start + item.num_rows
            statistics.queue.observe(started_at - item.arrived_at)
            statistics.compute.observe(compute_s)
            note_stage(item.trace, "queue", item.arrived_at, started_at)
            note_stage(item.trace, "compute", started_at, finished_at)
            if item.future.done():
                pass
            elif isinstance(outputs, TidegateError):
                item.future.set_exception(outputs)
            elif item.num_rows == bucket:
                item.future.set_result(outputs)
            else:
                item.future.set_result({name: array[start:stop] for name, array in outputs.items()})
            start = stop
        statistics.execution(start, bucket, compute_s)


async def gather_or_cancel(waits: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
    """All results; the first failure cancels the rest."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        return await asyncio.gather(*tasks)
    finally:
        # No name of a task may stay: its exception holds this frame, and what the tasks worked on would outlive them.
        while tasks:
            tasks.pop().cancel()
