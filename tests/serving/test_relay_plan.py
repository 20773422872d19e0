from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.batcher import Batcher, BatchLimits
from serving.deadline import Deadline
from serving.relay_plan import RelayPlan
from serving.runtimes.fake import FakeRemote
from serving.statistics import ModelStatistics
from tasks.errors import DeadlineExceeded, Overloaded
from tasks.task import Array, TensorSpec

INPUT = TensorSpec(name="x", dtype="FP32", shape=(-1, 1))
OUTPUT = TensorSpec(name="y", dtype="FP32", shape=(-1, 1))
FOREVER = Deadline()
SECONDS = {1: 1e-5, 8: 2e-5}


class Bench:
    """A batcher before a runtime elsewhere, with four requests in flight."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.runtime = FakeRemote(self.compute, (INPUT,), (OUTPUT,), num_slots=4)
        self.statistics = ModelStatistics((1.0, 8.0))
        self.batcher = Batcher(self.runtime, RelayPlan(SECONDS, 4), BatchLimits(64), self.statistics)

    def compute(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        if self.error is not None:
            raise self.error
        return {"y": inputs["x"] * 2}

    def ask(self, *values: float, deadline: Deadline = FOREVER) -> asyncio.Task[Mapping[str, Array]]:
        tensors = {"x": np.array(values, np.float32)[:, None]}
        return asyncio.create_task(self.batcher.infer(tensors, len(values), deadline))

    async def running(self, num_runs: int) -> None:
        async with asyncio.timeout(30):
            while len(self.runtime.batch_sizes) != num_runs:  # noqa: ASYNC110 (nobody announces it)
                await asyncio.sleep(0.001)


@given(sizes=st.lists(st.integers(1, 8), min_size=1, max_size=60), num_slots=st.integers(1, 20))
def test_no_more_than_a_slots_share_is_taken_and_always_something(sizes: list[int], num_slots: int) -> None:
    taken = RelayPlan(SECONDS, num_slots).take(sizes)
    assert 1 <= taken <= len(sizes)
    assert taken == 1 or sum(sizes[:taken]) <= min(8, math.ceil(sum(sizes) / num_slots))


async def test_as_many_requests_as_may_be_in_flight_go_at_once_and_alone() -> None:
    bench = Bench()
    bench.runtime.gate.clear()
    asked = [bench.ask(value) for value in range(4)]
    await bench.running(4)
    assert bench.runtime.batch_sizes == [1, 1, 1, 1]
    bench.runtime.gate.set()
    assert [(await answer)["y"].tolist() for answer in asked] == [[[0]], [[2]], [[4]], [[6]]]
    await bench.batcher.close(10)


async def test_what_waits_beyond_them_is_shared_out_and_nothing_is_padded() -> None:
    bench = Bench()
    bench.runtime.gate.clear()
    first = [bench.ask(value) for value in range(4)]
    await bench.running(4)
    rest = [bench.ask(value) for value in range(12)]
    while bench.batcher.num_waiting_rows != 12:  # noqa: ASYNC110 (nobody announces it)
        await asyncio.sleep(0.001)
    bench.runtime.gate.set()
    await asyncio.gather(*first, *rest)
    assert bench.runtime.batch_sizes[4] == 3
    assert sum(bench.runtime.batch_sizes) == 16
    assert bench.statistics.num_padding_rows == 0
    await bench.batcher.close(10)


async def test_the_latest_deadline_of_a_batch_goes_with_it() -> None:
    bench = Bench()
    deadline = Deadline.after(20)
    await bench.ask(1, 2, 3, deadline=deadline)
    await bench.ask(1)
    assert bench.runtime.expiries == [deadline.expires_at, math.inf]
    await bench.batcher.close(10)


@pytest.mark.parametrize("error", [Overloaded("its queue is full", 3.0), DeadlineExceeded("too late")])
async def test_what_the_other_side_says_is_what_callers_hear(error: Exception) -> None:
    bench = Bench()
    bench.error = error
    with pytest.raises(type(error), match=str(error)):
        await bench.ask(1)
    await bench.batcher.close(10)
