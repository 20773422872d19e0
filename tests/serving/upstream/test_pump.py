from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from serving.deadline import Deadline
from serving.upstream.client import UpstreamClient
from serving.upstream.pump import MAX_AHEAD, Pump
from tasks.errors import DeadlineExceeded, NotReady
from tests.serving.upstream.canned_server import canned_server
from tests.serving.upstream.told import ToldClient, read_into

EVENTS = tuple({"number": number} for number in range(3 * MAX_AHEAD))


def pump(client: ToldClient, deadline: Deadline | None = None) -> Pump:
    return Pump(client, "completions", "", {}, deadline or Deadline())


async def numbers(pump: Pump) -> list[Any]:
    return [json.loads(msgspec.json.encode(event["number"])) async for event in pump]


async def settled() -> None:
    """Everything that can happen by itself has happened."""
    for _ in range(5 * MAX_AHEAD):
        await asyncio.sleep(0)


async def test_events_come_in_order_and_come_to_an_end() -> None:
    assert await numbers(pump(ToldClient(*EVENTS))) == list(range(len(EVENTS)))


@pytest.mark.parametrize("count", [0, 1, 2 * MAX_AHEAD])
async def test_what_goes_wrong_comes_after_what_went_well(count: int) -> None:
    read: list[Any] = []
    with pytest.raises(NotReady, match="broke off"):
        await read_into(read, pump(ToldClient(*EVENTS[:count], error=NotReady("it broke off"))))
    assert len(read) == count


async def test_it_reads_ahead_of_a_slow_reader_and_not_far() -> None:
    client = ToldClient(*EVENTS)
    slow = pump(client)
    await settled()
    assert MAX_AHEAD <= client.num_taken <= MAX_AHEAD + 1
    assert await numbers(slow) == list(range(len(EVENTS)))


async def test_hanging_up_needs_no_reader_and_twice_is_once() -> None:
    client = ToldClient(*EVENTS)
    left = pump(client)
    await settled()
    assert client.num_open == 1
    left.cancel()
    await settled()
    assert client.num_open == 0
    left.cancel()


async def test_a_server_that_falls_silent_is_given_up_when_time_is_up() -> None:
    with canned_server(hangs=True) as server:
        client = UpstreamClient(server.url)
        with pytest.raises(DeadlineExceeded):
            await anext(aiter(Pump(client, "completions", "", {}, Deadline.after(0.05))))
        await client.close()


async def test_a_reader_who_is_too_slow_gets_what_came_in_time() -> None:
    client = ToldClient(*EVENTS)
    slow = pump(client, Deadline.after(0.02))
    await settled()
    await asyncio.sleep(0.05)
    read: list[Any] = []
    with pytest.raises(DeadlineExceeded):
        await read_into(read, slow)
    assert len(read) == MAX_AHEAD
    assert client.num_open == 0
