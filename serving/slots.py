"""Where batches are run: on a thread for each slot of the runtime, or, where a run costs less than waking a thread, on
the event loop itself."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple, Protocol

from serving.batch_buffers import BatchBuffers
from serving.batch_plan import BatchPlan
from serving.batch_queue import BatchQueue, QueuedItem, Tensors
from serving.runtimes.runtime import RemoteRuntime, Runtime
from serving.tracing.trace import CURRENT_TRACE
from tasks.errors import NotReady, TidegateError

LOOP_RUN_LIMIT_S = 0.0005
"""A model whose largest batch takes no longer is run on the loop: two thread switches and a fight for the interpreter
lock would cost more than the run, and nobody notices a loop that is busy for half a millisecond."""
log = logging.getLogger(__name__)


class Executed(NamedTuple):
    """A batch that was run. `outputs` have `bucket` rows, or are the error that all of its callers get."""

    items: list[QueuedItem]
    outputs: Tensors | TidegateError
    bucket: int
    started_at: float
    finished_at: float


Deliver = Callable[[Executed], None]
"""Called on the loop."""


class Slots(Protocol):
    """Takes batches from a queue until it is closed and done."""

    def wake(self) -> None:
        """Something was appended. Called on the loop."""
        ...

    def stalled_s(self) -> float:
        """For how long the slowest slot has been at its current batch."""
        ...

    async def finish(self, timeout_s: float) -> bool:
        """Run what is left of a closed queue. False if a run has not returned in time: what it holds must then be left
        alone."""
        ...


def open_slots(runtime: Runtime, plan: BatchPlan, queue: BatchQueue, deliver: Deliver) -> Slots:
    """The kind of slot that suits what the runtime costs on this host."""
    runner = BatchRunner(runtime, plan)
    if runtime.slots == 1 and plan.largest_run_s <= LOOP_RUN_LIMIT_S:
        return LoopSlot(runner, queue, deliver)
    return ThreadSlots(runner, queue, deliver)


class BatchRunner:
    """Puts batches together and runs them."""

    def __init__(self, runtime: Runtime, plan: BatchPlan) -> None:
        self._runtime, self._plan = runtime, plan
        self._remote = runtime if isinstance(runtime, RemoteRuntime) else None
        self.num_slots = runtime.slots

    def new_buffers(self) -> BatchBuffers:
        """For one slot: what is gathered there must stay until the run is over."""
        return BatchBuffers(self._runtime.inputs, self._plan.max_rows)

    def run(self, items: list[QueuedItem], buffers: BatchBuffers) -> Executed:
        num_rows = sum(item.num_rows for item in items)
        bucket = self._plan.bucket_of(num_rows)
        started_at = monotonic()
        outputs: Tensors | TidegateError
        try:
            tensors = buffers.gather([(i.num_rows, i.tensors) for i in items], bucket)
            if self._remote is None:
                outputs = self._runtime.run(tensors)
            else:
                # A call can be a part of one trace: of several in a batch the first is handed on.
                CURRENT_TRACE.set(next((item.trace for item in items if item.trace is not None), None))
                outputs = self._remote.run_until(tensors, max(item.expires_at for item in items))
        except TidegateError as error:
            outputs = error
        except Exception as error:
            log.exception("a batch of %d failed in the runtime", num_rows)
            outputs = NotReady(f"the runtime failed on this batch: {error}")
        return Executed(items, outputs, bucket, started_at, monotonic())


class ThreadSlots:
    """One thread for each slot; the loop is woken once for all callers of a batch."""

    def __init__(self, runner: BatchRunner, queue: BatchQueue, deliver: Deliver) -> None:
        self._runner, self._queue, self._deliver = runner, queue, deliver
        self._loop = asyncio.get_running_loop()
        self._busy_since = [math.inf] * runner.num_slots
        self._threads = [
            threading.Thread(target=self._serve, args=(slot,), name=f"runtime-{slot}", daemon=True)
            for slot in range(runner.num_slots)
        ]
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Nothing to do: the threads wait on the queue's own condition."""

    def stalled_s(self) -> float:
        return max(0.0, monotonic() - min(self._busy_since))

    async def finish(self, timeout_s: float) -> bool:
        expires_at = monotonic() + timeout_s
        for thread in self._threads:
            await asyncio.to_thread(thread.join, max(0.0, expires_at - monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _serve(self, slot: int) -> None:
        buffers = self._runner.new_buffers()
        while items := self._queue.take():
            self._busy_since[slot] = monotonic()
            executed = self._runner.run(items, buffers)
            self._busy_since[slot] = math.inf
            try:
                self._loop.call_soon_threadsafe(self._deliver, executed)
            except RuntimeError:  # the loop is gone, and with it everybody who waited
                return
            del items, executed


class LoopSlot:
    """Runs on the loop, one batch in each of its turns: what arrived in the same turn shares a batch."""

    def __init__(self, runner: BatchRunner, queue: BatchQueue, deliver: Deliver) -> None:
        self._runner, self._queue, self._deliver = runner, queue, deliver
        self._buffers = runner.new_buffers()
        self._loop = asyncio.get_running_loop()
        self._is_due = False
        self._timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._step)

    def stalled_s(self) -> float:
        """A loop that hangs answers nobody who asks."""
        return 0.0

    async def finish(self, timeout_s: float) -> bool:
        while items := self._queue.take_now()[0]:
            self._deliver(self._runner.run(items, self._buffers))
        return True

    def _step(self) -> None:
        self._is_due = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        items, held_s = self._queue.take_now()
        if items:
            self._deliver(self._runner.run(items, self._buffers))
        if held_s:
            self._timer = self._loop.call_later(held_s, self.wake)
        elif self._queue.num_rows:
            self.wake()
