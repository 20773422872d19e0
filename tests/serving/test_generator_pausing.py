"""Whose slot is taken by a search that came earlier goes on later, and nobody can tell by what he reads."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from serving.generation.answering import Answering
from serving.generation.fake_decoder import FakeDecoder
from serving.generation.request import Delta
from tasks.errors import NotReady
from tasks.generation import Generated, Prompt
from tests.serving.generation.bench import Bench


class Alternating:
    """A constraint that permits even and odd tokens in turn, so that a token too many or too few shows."""

    def __init__(self) -> None:
        self.num_tokens = 0
        self.is_complete = False

    def allowed(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.arange(16) % 2 == self.num_tokens % 2

    def advance(self, token: int) -> None:
        assert token % 2 == self.num_tokens % 2
        self.num_tokens += 1

    def fork(self) -> Alternating:
        forked = Alternating()
        forked.num_tokens = self.num_tokens
        return forked


PAUSED: list[dict[str, Any]] = [
    {"seed": 3, "temperature": 1.5, "logprobs": 2},
    {"temperature": 0, "repetition_penalty": 1.3, "frequency_penalty": 0.5, "logit_bias": {3: 2.0}},
    {"seed": 4, "constraint": Alternating},
    {"seed": 5, "stop": ("dbpl", "nnn")},
]


async def read(answering: Answering) -> tuple[list[Delta], list[Generated]]:
    return [delta async for delta in answering], answering.answers


@pytest.mark.parametrize("can_rewind", [True, False])
@pytest.mark.parametrize("params", PAUSED)
@pytest.mark.parametrize("features", [None, np.ones((3, 2), np.float32)])
async def test_who_gives_a_slot_back_to_a_search_goes_on_as_if_nothing_had_been(
    params: dict[str, Any], features: Any, can_rewind: bool
) -> None:
    asked = {"prompt": Prompt((4, 5), features), "max_tokens": 24, "ignore_end": True, **params}
    alone, bench = (Bench(FakeDecoder(num_slots=3, can_rewind=can_rewind)) for _ in range(2))
    expected = await read(alone.submit(**asked))
    first = await bench.occupied([1], max_tokens=6, ignore_end=True)
    beams = [bench.submit([2, number], num_beams=3, max_tokens=3) for number in range(2)]
    guest = bench.submit(**asked)
    bench.fake.gate.set()
    assert await read(guest) == expected, "neither a piece twice nor one too few"
    await asyncio.gather(first.wait(), *(one.wait() for one in beams))
    num_taken_in = sum(run[2] for run in bench.fake.runs if run[0] == "prefill" and isinstance(run[2], int))
    assert num_taken_in > 1 + 2 * 2 + guest.request.prompt.length, "it was taken in twice"
    assert bench.statistics.num_prompt_tokens == 1 + 2 * 2 + guest.request.prompt.length
    assert (bench.statistics.queue.count, bench.generator.num_waiting) == (4, 0)
    await bench.until(lambda: bench.generator.num_running == 0)
    await bench.close()
    await alone.close()


async def test_who_gave_a_slot_back_may_leave_meanwhile() -> None:
    bench = Bench()
    first = await bench.occupied([1], max_tokens=4, ignore_end=True)
    beams = bench.submit([2], num_beams=4, max_tokens=8)
    guests = [bench.submit([3, number], max_tokens=50, ignore_end=True) for number in range(2)]
    first.add_done_callback(lambda _: [guest.cancel() for guest in guests])
    bench.fake.gate.set()
    assert await beams.wait()
    for guest in guests:
        with pytest.raises(NotReady, match="cancelled"):
            await guest.wait()
    await bench.until(lambda: bench.generator.num_running == 0)
    assert (bench.generator.num_waiting, bench.statistics.num_cancelled) == (0, 2)
    await bench.close()
