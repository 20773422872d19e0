from __future__ import annotations

import asyncio

import pytest

from serving.generation.answering import Answering
from serving.generation.request import Delta
from tasks.errors import DeadlineExceeded, NotReady
from tasks.generation import Generated
from tests.serving.generation.bench import request


def part(choice: int, text: str) -> Delta:
    return Delta(choice, text, (), (), None)


def last(choice: int, text: str) -> Delta:
    return Delta(choice, "", (), (), Generated((1, 2), text, "stop", (-1.0, -1.0)))


async def read(answering: Answering) -> list[str]:
    return [delta.text async for delta in answering]


async def test_deltas_come_in_order_whenever_they_are_read() -> None:
    answering = Answering(request(), 2)
    answering.receive(part(0, "a"))
    reader = asyncio.create_task(read(answering))
    await asyncio.sleep(0)
    for delta in (part(1, "b"), last(1, "b"), part(0, "c")):
        answering.receive(delta)
    await asyncio.sleep(0)
    assert not answering.is_over
    answering.receive(last(0, "ac"))
    assert await reader == ["a", "b", "", "c", ""]
    assert [answer.text for answer in answering.answers] == ["ac", "b"]
    assert answering.usage == (3, 0, 4)
    assert await read(answering) == [], "the end stays the end"


async def test_what_came_before_a_failure_is_read_first() -> None:
    answering = Answering(request(), 1)
    answering.receive(part(0, "a"))
    answering.fail(DeadlineExceeded("too late"))
    answering.receive(part(0, "b"))
    assert (await anext(answering)).text == "a"
    for _ in range(2):
        with pytest.raises(DeadlineExceeded):
            await anext(answering)


async def test_whoever_wants_to_know_of_the_end_is_told_once() -> None:
    told: list[str] = []
    answering = Answering(request(), 1)
    answering.add_done_callback(lambda _: told.append("first"))
    answering.add_done_callback(lambda ended: told.append("second" if ended.is_over else "too early"))
    answering.receive(last(0, "a"))
    answering.cancel()
    assert told == ["first", "second"]
    answering.add_done_callback(lambda _: told.append("late"))
    assert told[2:] == ["late"]
    assert not answering.is_cancelled
    assert await answering.wait() == answering.answers


async def test_a_cancelled_request_has_no_answer() -> None:
    answering = Answering(request(), 1)
    waiting = asyncio.create_task(answering.wait())
    await asyncio.sleep(0)
    answering.cancel()
    assert answering.is_cancelled
    with pytest.raises(NotReady, match="cancelled"):
        await waiting
