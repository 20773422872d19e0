"""Where batches run. What threads do is tested through the batcher; here is what differs on the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from contextlib import suppress

import numpy as np
import pytest

from serving.batch_plan import BatchPlan
from serving.batcher import Batcher, BatchLimits
from serving.deadline import Deadline
from serving.runtimes.fake import FakeRuntime
from serving.slots import LOOP_RUN_LIMIT_S
from serving.statistics import ModelStatistics
from tasks.errors import NotReady
from tasks.task import Array, TensorSpec

INPUT = TensorSpec(name="x", dtype="FP32", shape=(-1, 1))
OUTPUT = TensorSpec(name="y", dtype="FP32", shape=(-1, 1))


class Bench:
    """A batcher over a fake runtime that remembers on which threads it ran."""

    def __init__(self, largest_run_s: float, max_wait_s: float = 0.0) -> None:
        self.threads: set[int] = set()
        self.runtime = FakeRuntime(self.compute, (INPUT,), (OUTPUT,))
        plan = BatchPlan({1: largest_run_s / 4, 2: largest_run_s / 2, 4: largest_run_s})
        self.batcher = Batcher(self.runtime, plan, BatchLimits(64, max_wait_s), ModelStatistics((1.0,)))

    def compute(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.threads.add(threading.get_ident())
        if (inputs["x"] < 0).any():
            raise ValueError("no negative numbers")
        return {"y": inputs["x"] * 2}

    def ask(self, value: float) -> asyncio.Task[Mapping[str, Array]]:
        tensors = {"x": np.array([[value]], np.float32)}
        return asyncio.create_task(self.batcher.infer(tensors, 1, Deadline()))


@pytest.mark.parametrize(("largest_run_s", "on_loop"), [(LOOP_RUN_LIMIT_S, True), (LOOP_RUN_LIMIT_S * 2, False)])
async def test_only_what_costs_less_than_a_thread_switch_runs_on_the_loop(largest_run_s: float, on_loop: bool) -> None:
    bench = Bench(largest_run_s)
    assert (await bench.ask(3))["y"].tolist() == [[6]]
    await bench.batcher.close(10)
    assert bench.threads == {threading.get_ident()} or not on_loop
    assert (threading.get_ident() in bench.threads) == on_loop


async def test_who_arrives_in_the_same_turn_shares_a_batch() -> None:
    bench = Bench(LOOP_RUN_LIMIT_S)
    answers = await asyncio.gather(*(bench.ask(value) for value in range(6)))
    assert [answer["y"].tolist() for answer in answers] == [[[2 * value]] for value in range(6)]
    assert bench.runtime.batch_sizes == [4, 2]


async def test_a_lone_caller_is_not_held_up() -> None:
    bench = Bench(LOOP_RUN_LIMIT_S)
    asked = bench.ask(1)
    for _ in range(4):  # a handful of turns of the loop, no timer
        await asyncio.sleep(0)
    assert asked.done()


async def test_a_batch_held_back_for_company_goes_when_it_is_full() -> None:
    bench = Bench(LOOP_RUN_LIMIT_S, max_wait_s=3600)
    early = bench.ask(0)
    await asyncio.sleep(0.01)
    assert not early.done()
    await asyncio.gather(early, *(bench.ask(value) for value in (1, 2, 3)))
    assert bench.runtime.batch_sizes == [4]


async def test_a_batch_held_back_for_company_does_not_wait_longer_than_it_must() -> None:
    bench = Bench(LOOP_RUN_LIMIT_S, max_wait_s=0.01)
    assert (await asyncio.wait_for(bench.ask(5), 10))["y"].tolist() == [[10]]


async def test_a_caller_who_left_costs_nothing_and_a_failed_batch_harms_nobody_else() -> None:
    bench = Bench(LOOP_RUN_LIMIT_S, max_wait_s=0.02)
    gone, kept = bench.ask(1), bench.ask(2)
    await asyncio.sleep(0)
    gone.cancel()
    with suppress(asyncio.CancelledError):
        await gone
    assert (await kept)["y"].tolist() == [[4]]
    assert bench.runtime.batch_sizes == [1]
    with pytest.raises(NotReady, match="no negative numbers"):
        await bench.ask(-1)
    assert (await bench.ask(3))["y"].tolist() == [[6]]


async def test_closing_runs_what_is_queued() -> None:
    bench = Bench(LOOP_RUN_LIMIT_S, max_wait_s=3600)
    asked = bench.ask(1)
    await asyncio.sleep(0)
    assert await bench.batcher.close(10)
    assert (await asked)["y"].tolist() == [[2]]
    with pytest.raises(NotReady):
        await bench.ask(2)
