"""When a batch is taken while its company is still being decoded. What else queues do is tested through the batcher."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping

import numpy as np
import pytest

from serving.batch_plan import BatchPlan
from serving.batch_queue import BatchQueue, QueuedItem, latest_start
from serving.batcher import Batcher, BatchLimits
from serving.deadline import Deadline
from serving.runtimes.fake import FakeRemote, FakeRuntime
from serving.statistics import ModelStatistics
from tasks.task import Array, TensorSpec

SPEC = TensorSpec(name="x", dtype="FP32", shape=(-1, 1))
LONG_S, SHORT_S = 600.0, 0.001
"""What a run is said to cost, and so for how long at most it leaves the cores to decoding: longer or shorter than any
test takes."""
A_WHILE_S = 0.05
"""In which a thread that may take a batch does so."""
SOON_S = 30.0


def queue_of(run_s: float, crowd: float) -> BatchQueue:
    return BatchQueue(BatchPlan({1: run_s, 2: run_s, 4: run_s}), 0.0, crowd)


def rows(num_rows: int = 1, expires_at: float = math.inf, arrived_at: float | None = None) -> QueuedItem:
    """Of one caller."""
    tensors = {"x": np.zeros((num_rows, 1), np.float32)}
    item = QueuedItem(tensors, num_rows, expires_at, asyncio.get_running_loop().create_future())
    if arrived_at is not None:
        item.arrived_at = arrived_at
    return item


def taking(queue: BatchQueue) -> asyncio.Task[list[QueuedItem]]:
    """A slot that has just become idle."""
    return asyncio.create_task(asyncio.to_thread(queue.take))


async def taken(slot: asyncio.Task[list[QueuedItem]]) -> int:
    """Rows in the batch that a slot takes."""
    return sum(item.num_rows for item in await asyncio.wait_for(slot, SOON_S))


async def test_a_run_leaves_the_cores_to_decoding_while_that_has_them_all() -> None:
    queue = queue_of(LONG_S, crowd=2)
    queue.announce(2)
    queue.append(rows())
    slot = taking(queue)
    await asyncio.sleep(A_WHILE_S)
    assert not slot.done(), "both cores decode"
    queue.announce(-1)
    assert await taken(slot) == 1, "one core is free"


async def test_what_is_decoded_meanwhile_shares_the_run() -> None:
    queue = queue_of(LONG_S, crowd=1)
    queue.announce(1)
    queue.append(rows())
    slot = taking(queue)
    queue.append(rows())
    await asyncio.sleep(A_WHILE_S)
    assert not slot.done()
    queue.announce(-1)
    assert await taken(slot) == 2


async def test_a_run_waits_for_decoding_no_longer_than_it_takes_itself() -> None:
    queue = queue_of(SHORT_S, crowd=1)
    queue.announce(1)
    queue.append(rows())
    assert await taken(taking(queue)) == 1


async def test_a_full_batch_waits_for_no_decoding() -> None:
    queue = queue_of(LONG_S, crowd=1)
    queue.announce(1)
    queue.append(rows(3))
    slot = taking(queue)
    await asyncio.sleep(A_WHILE_S)
    queue.append(rows(1))
    assert await taken(slot) == 4


async def test_closing_waits_for_no_decoding() -> None:
    queue = queue_of(LONG_S, crowd=1)
    queue.announce(1)
    queue.append(rows())
    slot = taking(queue)
    await asyncio.sleep(A_WHILE_S)
    queue.close()
    assert await taken(slot) == 1


async def test_all_idle_slots_begin_when_the_cores_are_free() -> None:
    queue = queue_of(LONG_S, crowd=1)
    queue.announce(1)
    slots = [taking(queue) for _ in range(2)]
    await asyncio.sleep(A_WHILE_S)
    queue.append(rows(3))
    queue.announce(-1)
    queue.append(rows(3))
    assert [await taken(slot) for slot in slots] == [3, 3]


async def test_the_first_row_is_no_worse_off_for_those_that_came_to_it() -> None:
    plan = BatchPlan({1: 2.0, 2: 4.0, 4: 8.0})
    first = rows(arrived_at=100.0)
    assert latest_start([first], plan, idle_since=0.0) == 102.0
    assert latest_start([first, rows(arrived_at=101.0), rows(arrived_at=102.0)], plan, idle_since=0.0) == 102.0


async def test_patience_begins_when_a_runtime_is_there() -> None:
    assert latest_start([rows(arrived_at=100.0)], BatchPlan({1: 2.0}), idle_since=150.0) == 152.0


@pytest.mark.parametrize("hurried", [0, 1])
async def test_nobody_waits_for_others_until_it_is_too_late(hurried: int) -> None:
    plan = BatchPlan({1: 2.0, 2: 3.0})
    items = [rows(arrived_at=100.0, expires_at=104.5 if hurried == index else 200.0) for index in range(2)]
    assert latest_start(items, plan, idle_since=0.0) == 101.5


def ask(batcher: Batcher) -> asyncio.Task[Mapping[str, Array]]:
    return asyncio.create_task(batcher.infer({"x": np.ones((1, 1), np.float32)}, 1, Deadline()))


def batcher_over(runtime: FakeRuntime) -> Batcher:
    """With one core for decoding and all else."""
    plan, limits = BatchPlan({1: LONG_S, 4: LONG_S}), BatchLimits(64, full_decoding=1)
    return Batcher(runtime, plan, limits, ModelStatistics(()))


async def test_a_runtime_on_the_cores_leaves_them_to_pictures_with_a_reserved_place() -> None:
    runtime = FakeRuntime(dict, (SPEC,), (SPEC,))
    batcher = batcher_over(runtime)
    batcher.reserve(1)
    asked = ask(batcher)
    await asyncio.sleep(A_WHILE_S)
    assert not runtime.batch_sizes
    batcher.unreserve(1)
    assert (await asyncio.wait_for(asked, SOON_S))["x"].tolist() == [[1]]
    await batcher.close(SOON_S)


async def test_a_runtime_elsewhere_needs_no_core() -> None:
    batcher = batcher_over(FakeRemote(dict, (SPEC,), (SPEC,), num_slots=1))
    batcher.reserve(1)
    assert (await asyncio.wait_for(ask(batcher), SOON_S))["x"].tolist() == [[1]]
    batcher.unreserve(1)
    await batcher.close(SOON_S)
