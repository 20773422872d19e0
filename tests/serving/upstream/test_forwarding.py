from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from serving.deadline import Deadline
from serving.generation.statistics import GenerationStatistics
from serving.upstream.client import UpstreamClient
from serving.upstream.forwarding import Forwarding
from serving.upstream.pump import Pump
from serving.upstream.visit import Visit
from tasks.errors import NotReady
from tests.serving.upstream.canned_server import canned_server
from tests.serving.upstream.told import ToldClient, read_into

DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 3, "completion_tokens": 1}
TEXT = {"model": "theirs", "choices": [{"index": 0, "text": "a", "finish_reason": None}], "usage": None}
END = {"model": "theirs", "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}
TOTAL = {"model": "theirs", "choices": [], "usage": USAGE}


@dataclass
class Passage:
    """A stream on its way, and what is counted of it."""

    client: UpstreamClient
    forwarding: Forwarding
    statistics: GenerationStatistics

    async def read(self) -> list[bytes]:
        await self.forwarding.begin()
        return [event async for event in self.forwarding.events()]


def passage(client: UpstreamClient, wants_usage: bool = True) -> Passage:
    statistics = GenerationStatistics(0)
    pump = Pump(client, "completions", "", {}, Deadline.after(10))
    visit = Visit(statistics, lambda signals: None, lambda: None, lambda answers: None)
    return Passage(client, Forwarding("ours", pump, visit, wants_usage), statistics)


def values(events: list[bytes]) -> list[Any]:
    return [json.loads(event.removeprefix(b"data: ")) for event in events]


async def test_events_pass_under_our_name_and_are_counted() -> None:
    passed = passage(ToldClient(TEXT, END, TOTAL))
    *events, done = await passed.read()
    assert values(events) == [one | {"model": "ours"} for one in (TEXT, END, TOTAL)]
    assert done == DONE
    assert passed.statistics.finished == {"stop": 1}
    assert passed.statistics.num_completion_tokens == 1


async def test_who_did_not_ask_for_usage_sees_none() -> None:
    *events, _ = await passage(ToldClient(TEXT, END | {"usage": USAGE}, TOTAL), wants_usage=False).read()
    assert [one.keys() for one in values(events)] == [{"model", "choices"}, {"model", "choices"}]


async def test_what_is_not_read_is_not_changed() -> None:
    exact = b'"id":"\\u00e9","when":1.50e3,"large":123456789012345678901234567890,"deep":[[{}]]'
    with canned_server(body=b"data: {" + exact + b',"model":"theirs","choices":[]}\n\ndata: [DONE]\n\n') as server:
        client = UpstreamClient(server.url)
        event, _ = await passage(client).read()
        await client.close()
    assert event == b"data: {" + exact + b',"model":"ours","choices":[]}\n\n'


async def test_a_stream_of_nothing_is_done() -> None:
    assert await passage(ToldClient()).read() == [DONE]


async def test_what_keeps_it_from_beginning_is_raised_before_anything_is_sent() -> None:
    passed = passage(ToldClient(error=NotReady("it is loading")))
    with pytest.raises(NotReady, match="loading"):
        await passed.forwarding.begin()
    assert passed.statistics.num_failed == 1


async def test_what_breaks_it_off_comes_after_what_was_passed_on() -> None:
    passed = passage(ToldClient(TEXT, error=NotReady("it broke off")))
    read: list[bytes] = []
    await passed.forwarding.begin()
    with pytest.raises(NotReady, match="broke off"):
        await read_into(read, passed.forwarding.events())
    assert values(read) == [TEXT | {"model": "ours"}]
    assert (passed.statistics.num_failed, passed.statistics.finished) == (1, {})


async def test_who_leaves_is_no_failure() -> None:
    passed = passage(ToldClient(*[TEXT] * 500))
    await passed.forwarding.begin()
    passed.forwarding.cancel()
    passed.forwarding.cancel()
    assert (passed.statistics.num_cancelled, passed.statistics.num_failed) == (1, 0)
