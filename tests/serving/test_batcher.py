from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import numpy as np
import pytest

from serving.batch_plan import BatchPlan
from serving.batcher import Batcher, BatchLimits
from serving.deadline import Deadline
from serving.runtimes.fake import FakeRuntime
from serving.statistics import ModelStatistics
from tasks.errors import DeadlineExceeded, NotReady, Overloaded, TooLarge
from tasks.task import Array, TensorSpec

INPUT = TensorSpec(name="x", dtype="FP32", shape=(-1, 2))
OUTPUT = TensorSpec(name="y", dtype="FP32", shape=(-1, 2))
FOREVER = Deadline()


def doubled(inputs: Mapping[str, Array]) -> dict[str, Array]:
    return {"y": inputs["x"] * 2}


def rows(*values: float) -> dict[str, Array]:
    """Tensors [len(values), 2]."""
    return {"x": np.array([[v, v] for v in values], np.float32)}


class Bench:
    """A batcher over a fake runtime whose gate a test can close."""

    def __init__(self, compute: Any = doubled, max_queue: int = 64, max_wait_s: float = 0.0) -> None:
        self.runtime = FakeRuntime(compute, (INPUT,), (OUTPUT,))
        self.statistics = ModelStatistics((1.0, 2.0, 4.0))
        plan = BatchPlan({1: 1.0, 2: 1.0, 4: 1.0})
        self.batcher = Batcher(self.runtime, plan, BatchLimits(max_queue, max_wait_s), self.statistics)

    def ask(self, *values: float, deadline: Deadline = FOREVER) -> asyncio.Task[Mapping[str, Array]]:
        return asyncio.create_task(self.batcher.infer(rows(*values), len(values), deadline))

    async def occupy(self) -> asyncio.Task[Mapping[str, Array]]:
        """Close the gate and wait until the runtime is busy with one request."""
        self.runtime.gate.clear()
        first = self.ask(0)
        while not self.runtime.batch_sizes:  # noqa: ASYNC110 (nobody announces it)
            await asyncio.sleep(0.001)
        return first

    async def queued(self, num_rows: int) -> None:
        while self.batcher.num_waiting_rows != num_rows:  # noqa: ASYNC110 (nobody announces it)
            await asyncio.sleep(0.001)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    made.runtime.gate.set()
    await made.batcher.close(10)


async def test_one_of_three_callers_leaves_and_the_other_two_get_answers(bench: Bench) -> None:
    first = await bench.occupy()
    callers = [bench.ask(1), bench.ask(2), bench.ask(3)]
    await bench.queued(3)
    callers[1].cancel()
    await bench.queued(2)
    bench.runtime.gate.set()
    await first
    assert (await callers[0])["y"].tolist() == [[2, 2]]
    assert (await callers[2])["y"].tolist() == [[6, 6]]
    assert callers[1].cancelled()
    assert bench.runtime.batch_sizes == [1, 2], "who left before the batch was taken costs no compute"
    assert bench.statistics.num_cancelled == 1


async def test_a_caller_who_leaves_while_the_batch_runs_does_not_disturb_the_others(bench: Bench) -> None:
    first = await bench.occupy()
    callers = [bench.ask(1), bench.ask(2), bench.ask(3)]
    await bench.queued(3)
    bench.runtime.gate.set()
    await first
    bench.runtime.gate.clear()
    callers[1].cancel()
    bench.runtime.gate.set()
    assert (await callers[0])["y"].tolist() == [[2, 2]]
    assert (await callers[2])["y"].tolist() == [[6, 6]]


async def test_an_idle_runtime_takes_a_single_request_at_once(bench: Bench) -> None:
    assert (await bench.ask(5))["y"].tolist() == [[10, 10]]
    assert bench.runtime.batch_sizes == [1]


async def test_requests_gather_while_the_runtime_is_busy(bench: Bench) -> None:
    first = await bench.occupy()
    callers = [bench.ask(value) for value in range(1, 7)]
    await bench.queued(6)
    bench.runtime.gate.set()
    await first
    answers = [(await caller)["y"][0, 0] for caller in callers]
    assert answers == [2, 4, 6, 8, 10, 12]
    assert bench.runtime.batch_sizes == [1, 4, 2], "batches of the largest size first, never above it"


async def test_client_batches_of_several_sizes_share_a_run_and_are_padded(bench: Bench) -> None:
    first = await bench.occupy()
    two, one = bench.ask(1, 2), bench.ask(3)
    await bench.queued(3)
    bench.runtime.gate.set()
    await first
    assert (await two)["y"].tolist() == [[2, 2], [4, 4]]
    assert (await one)["y"].tolist() == [[6, 6]]
    assert bench.runtime.batch_sizes == [1, 4]
    assert bench.statistics.num_padding_rows == 1


async def test_a_client_batch_above_the_maximum_is_split(bench: Bench) -> None:
    answer = await bench.ask(*range(10))
    assert answer["y"][:, 0].tolist() == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]
    assert max(bench.runtime.batch_sizes) == 4
    assert sum(bench.runtime.batch_sizes) == 10


async def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    bench = Bench(max_queue=2)
    first = await bench.occupy()
    waiting = [bench.ask(1), bench.ask(2)]
    await bench.queued(2)
    with pytest.raises(Overloaded) as refused:
        await bench.ask(3)
    assert refused.value.retry_after_s > 0
    waiting[0].cancel()
    await bench.queued(1)
    third = bench.ask(3)
    await bench.queued(2)
    bench.runtime.gate.set()
    assert (await third)["y"].tolist() == [[6, 6]], "who left makes room"
    await asyncio.gather(first, waiting[1])
    with pytest.raises(TooLarge, match="the queue holds 2"):
        await bench.ask(1, 2, 3)
    await bench.batcher.close(10)


async def test_a_deadline_passes_in_the_queue_and_costs_no_compute(bench: Bench) -> None:
    first = await bench.occupy()
    late = bench.ask(1, deadline=Deadline.after(0.02))
    with pytest.raises(DeadlineExceeded):
        await late
    assert bench.batcher.num_waiting_rows == 0
    bench.runtime.gate.set()
    await first
    assert bench.runtime.batch_sizes == [1]
    assert bench.statistics.num_expired == 1


async def test_a_deadline_passes_while_the_batch_runs(bench: Bench) -> None:
    bench.runtime.gate.clear()
    with pytest.raises(DeadlineExceeded):
        await bench.ask(1, deadline=Deadline.after(0.02))


async def test_a_deadline_in_the_past_never_enters_the_queue(bench: Bench) -> None:
    with pytest.raises(DeadlineExceeded):
        await bench.ask(1, deadline=Deadline.after(-1))
    assert bench.runtime.batch_sizes == []


async def test_later_deadlines_are_kept_after_an_earlier_one_passed(bench: Bench) -> None:
    first = await bench.occupy()
    soon, later = bench.ask(1, deadline=Deadline.after(0.02)), bench.ask(2, deadline=Deadline.after(0.06))
    for caller in (soon, later):
        with pytest.raises(DeadlineExceeded):
            await caller
    bench.runtime.gate.set()
    await first


async def test_a_failing_batch_is_an_error_for_its_callers_and_nobody_else() -> None:
    def picky(inputs: Mapping[str, Array]) -> dict[str, Array]:
        if inputs["x"][0, 0] == 13:
            raise RuntimeError("out of luck")
        return doubled(inputs)

    bench = Bench(picky)
    with pytest.raises(NotReady, match="out of luck"):
        await bench.ask(13)
    assert (await bench.ask(1))["y"].tolist() == [[2, 2]]
    await bench.batcher.close(10)


async def test_company_is_waited_for_only_as_long_as_configured() -> None:
    bench = Bench(max_wait_s=0.05)
    callers = [bench.ask(1), bench.ask(2)]
    await asyncio.gather(*callers)
    assert bench.runtime.batch_sizes == [2]
    full = [bench.ask(value) for value in range(4)]
    await asyncio.gather(*full)
    assert bench.runtime.batch_sizes == [2, 4]
    await bench.batcher.close(10)


async def test_closing_answers_what_is_queued_and_refuses_what_comes() -> None:
    bench = Bench()
    first = await bench.occupy()
    queued = bench.ask(1)
    await bench.queued(1)
    closing = asyncio.create_task(bench.batcher.close(10))
    await asyncio.sleep(0)
    with pytest.raises(NotReady):
        await bench.ask(2)
    bench.runtime.gate.set()
    assert (await queued)["y"].tolist() == [[2, 2]]
    await asyncio.gather(first, closing)


async def test_rows_that_are_being_decoded_count_as_waiting() -> None:
    bench = Bench(max_queue=2)
    bench.batcher.reserve(2)
    with pytest.raises(Overloaded):
        await bench.ask(1)
    bench.batcher.unreserve(2)
    assert (await bench.ask(1))["y"].tolist() == [[2, 2]]
    await bench.batcher.close(10)


async def test_a_runtime_that_hangs_is_noticed(bench: Bench) -> None:
    assert bench.batcher.stalled_s() == 0
    first = await bench.occupy()
    await asyncio.sleep(0.02)
    assert bench.batcher.stalled_s() > 0.01
    bench.runtime.gate.set()
    await first
    assert bench.batcher.stalled_s() == 0


async def test_closing_does_not_wait_for_ever_for_a_runtime_that_hangs(bench: Bench) -> None:
    first = await bench.occupy()
    assert not await bench.batcher.close(0.02)
    bench.runtime.gate.set()
    await first
    assert await bench.batcher.close(10)
