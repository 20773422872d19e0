"""Who is refused, who leaves, what fails, and how a generator ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from serving.deadline import Deadline
from serving.generation.fake_decoder import FakeDecoder, Held, random_logits
from serving.generation.slot_pool import SlotPool
from tasks.errors import BadInput, DeadlineExceeded, NotReady, Overloaded, TooLarge
from tests.serving.generation.bench import Bench, greedy


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("asked_for", "complaint"),
    [
        ({"prompt": []}, "empty"),
        ({"prompt": [1] * 64}, "shorten"),
        ({"num_beams": 5}, "at most 4"),
    ],
)
async def test_what_can_not_be_answered_is_refused_at_once(
    bench: Bench, asked_for: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(BadInput, match=complaint):
        bench.submit(**asked_for)
    assert bench.fake.runs == []


async def test_whoever_leaves_frees_the_slot_at_the_next_step() -> None:
    bench = Bench(FakeDecoder(num_slots=1))
    first = await bench.occupied(max_tokens=60, ignore_end=True)
    second = bench.submit(temperature=0, max_tokens=2, ignore_end=True)
    first.cancel()
    bench.fake.gate.set()
    assert len((await second.wait())[0].tokens) == 2
    assert [run[0] for run in bench.fake.runs].count("decode") <= 2, "the first was taken no further"
    assert bench.statistics.num_cancelled == 1
    with pytest.raises(NotReady, match="cancelled"):
        await first.wait()
    await bench.close()


async def test_a_reader_who_is_cancelled_cancels_the_request(bench: Bench) -> None:
    first = await bench.occupied(max_tokens=60, ignore_end=True)
    reader = asyncio.create_task(first.wait())
    await asyncio.sleep(0)
    reader.cancel()
    await bench.until(lambda: first.is_over)
    bench.fake.gate.set()
    await bench.until(lambda: bench.generator.num_running == 0)
    assert len([run for run in bench.fake.runs if run[0] == "decode"]) <= 1


async def test_a_full_queue_refuses_says_when_to_come_back_and_forgets_those_who_left() -> None:
    bench = Bench(FakeDecoder(num_slots=1), max_queue=3)
    await bench.occupied(max_tokens=2, seed=0)
    await bench.until(lambda: bench.generator.num_waiting == 0)
    waiting = [bench.submit(max_tokens=2, n=2), bench.submit(max_tokens=2)]
    with pytest.raises(Overloaded) as caught:
        bench.submit()
    assert caught.value.retry_after_s >= 1
    assert (bench.statistics.num_refused, bench.generator.num_waiting) == (1, 3)
    waiting[0].cancel()
    assert bench.generator.num_waiting == 1
    again = bench.submit(max_tokens=2)
    with pytest.raises(TooLarge, match="holds 3"):
        bench.submit(n=4)
    bench.fake.gate.set()
    assert await waiting[1].wait()
    assert await again.wait()
    await bench.close()


async def test_a_prompt_that_is_being_made_waits_in_line() -> None:
    bench = Bench(max_queue=3)
    async with bench.generator.preparing(3, Deadline()):
        assert bench.generator.num_waiting == 3
        with pytest.raises(Overloaded, match="3 answers wait"):
            bench.submit()
        with pytest.raises(Overloaded):
            await bench.generator.preparing(1, Deadline()).__aenter__()
    assert bench.statistics.num_refused == 2
    assert len(await bench.submit(n=3, max_tokens=2).wait()) == 3, "its places are free for it"
    await bench.close()


async def test_a_deadline_counts_while_a_prompt_is_made(bench: Bench) -> None:
    with pytest.raises(DeadlineExceeded):
        async with bench.generator.preparing(1, Deadline.after(0.005)):
            await asyncio.sleep(60)
    with pytest.raises(DeadlineExceeded):
        async with bench.generator.preparing(1, Deadline.after(-1)):
            pytest.fail("time was spent on it")
    assert (bench.statistics.num_expired, bench.generator.num_waiting) == (2, 0)


async def test_deadlines_end_what_waits_and_what_runs(bench: Bench) -> None:
    with pytest.raises(DeadlineExceeded):
        bench.submit(deadline=Deadline.after(-1))
    running = await bench.occupied(max_tokens=60, ignore_end=True, deadline=Deadline.after(0.01))
    others = [bench.submit(max_tokens=50, ignore_end=True) for _ in range(3)]
    waiting = bench.submit(deadline=Deadline.after(0.01))
    for answering in (running, waiting):
        with pytest.raises(DeadlineExceeded):
            await answering.wait()
    assert bench.statistics.num_expired == 3
    bench.fake.gate.set()
    for other in others:
        assert len((await other.wait())[0].tokens) == 50
    assert bench.statistics.num_cancelled == 0


async def test_requests_that_came_after_a_search_use_its_slots_until_it_can_begin() -> None:
    bench = Bench(FakeDecoder(num_slots=3))
    first = await bench.occupied([1], max_tokens=30, ignore_end=True)
    beams = bench.submit([2], num_beams=3, max_tokens=3)
    quick = [bench.submit([3], max_tokens=1) for _ in range(2)]
    slow = bench.submit([4, 5], temperature=0, max_tokens=40, ignore_end=True)
    finished: list[str] = []
    for name, answering in (("beams", beams), ("quick", quick[0]), ("quick", quick[1]), ("slow", slow)):
        answering.add_done_callback(lambda _, name=name: finished.append(name))
    bench.fake.gate.set()
    await asyncio.gather(*(answering.wait() for answering in (first, beams, *quick, slow)))
    alone = Bench(FakeDecoder(num_slots=3))
    assert slow.answers == await alone.submit([4, 5], temperature=0, max_tokens=40, ignore_end=True).wait()
    assert beams.answers == await alone.submit([2], num_beams=3, max_tokens=3).wait()
    assert finished == ["quick", "quick", "beams", "slow"]
    assert bench.statistics.num_prompt_tokens == 1 + 1 + 1 + 1 + 2, "each is counted once"
    assert bench.statistics.queue.count == 5
    await bench.close()
    await alone.close()


async def test_numbers_that_are_none_fail_their_own_request_alone() -> None:
    def poisoned(held: Held) -> np.ndarray[Any, np.dtype[np.float32]]:
        return np.full(16, np.nan, np.float32) if held[:1] == (13,) else random_logits(held)

    bench = Bench(FakeDecoder(logits_of=poisoned))
    ill, well = bench.submit([13], n=2), bench.submit([1, 2, 3], temperature=0, max_tokens=12)
    with pytest.raises(NotReady, match="not finite"):
        await ill.wait()
    assert (await well.wait())[0].text == greedy((1, 2, 3), 12)
    assert bench.statistics.num_failed == 1
    await bench.close()


class BrokenDecoder(FakeDecoder):
    """Fails every run that has to do with token 13, as long as it comes early."""

    def prefill(self, slot: int, tokens: Any, *arguments: Any) -> Any:
        if 13 in tokens:
            raise RuntimeError("out of memory")
        return super().prefill(slot, tokens, *arguments)

    def decode(self, steps: Any, held: Any) -> Any:
        if any(step.token == 13 and step.num_cached == 1 for step in steps):
            raise RuntimeError("out of memory")
        return super().decode(steps, held)


async def test_a_runtime_that_fails_once_serves_the_next_request() -> None:
    bench = Bench(BrokenDecoder())
    with pytest.raises(NotReady, match="out of memory"):
        await bench.submit([13]).wait()
    with pytest.raises(NotReady, match="out of memory"):
        await bench.submit([1], logit_bias={13: 100.0}, temperature=0).wait()
    assert await bench.text([1, 2, 3], temperature=0, max_tokens=12) == greedy((1, 2, 3), 12)
    assert bench.generator.num_running == 0
    await bench.close()


async def test_a_generator_that_fails_says_so_to_everybody(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise MemoryError("no memory for a plan")

    await bench.text(max_tokens=1)
    monkeypatch.setattr(SlotPool, "take", broken)
    with pytest.raises(NotReady, match="no memory for a plan"):
        await bench.submit().wait()
    with pytest.raises(NotReady, match="loaded again"):
        bench.submit()
    assert bench.generator.stalled_s() > 0, "a probe must see it"


async def test_closing_answers_what_is_there_and_refuses_what_comes(bench: Bench) -> None:
    answerings = [bench.submit(max_tokens=20, ignore_end=True) for _ in range(10)]
    assert await bench.generator.close(10)
    assert all(answering.is_answered for answering in answerings)
    with pytest.raises(NotReady):
        bench.submit()


async def test_closing_fails_what_is_not_answered_in_time() -> None:
    bench = Bench()
    stuck = await bench.occupied(max_tokens=60, ignore_end=True)
    waiting = [bench.submit(max_tokens=60) for _ in range(8)]
    closing = asyncio.create_task(bench.generator.close(0.01))
    with pytest.raises(NotReady, match="unloaded"):
        await stuck.wait()
    bench.fake.gate.set()
    assert await closing, "the step that was running has returned"
    assert all(answering.is_over for answering in waiting)


async def test_a_step_that_takes_long_shows(bench: Bench) -> None:
    assert bench.generator.stalled_s() == 0
    await bench.occupied(max_tokens=1)
    await bench.until(lambda: bench.generator.stalled_s() > 0.01)
