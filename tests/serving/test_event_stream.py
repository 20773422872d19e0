from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from serving.answer import PLAIN_WORDING
from serving.event_stream import EventStream, Sent, end_events, event, send_events
from serving.http_body import ClientDisconnected
from tasks.errors import DeadlineExceeded


class Client:
    """What ASGI would have sent. `stalls_after`: messages that it takes."""

    def __init__(self, stalls_after: int = 1000) -> None:
        self.messages: list[Any] = []
        self.num_closed = 0
        self._stalls_after = stalls_after

    async def send(self, message: Any) -> None:
        if len(self.messages) >= self._stalls_after:
            await asyncio.Event().wait()
        self.messages.append(message)

    def close(self) -> None:
        self.num_closed += 1

    async def read(self, events: AsyncIterator[bytes]) -> Sent:
        return await send_events(self.send, EventStream(events, self.close), PLAIN_WORDING, b"id-7", 0.05)

    @property
    def data(self) -> list[Any]:
        text = b"".join(message.get("body", b"") for message in self.messages[1:]).decode()
        return [json.loads(block.removeprefix("data: ")) for block in text.split("\n\n") if block]


async def events(*values: Any, error: Exception | None = None) -> AsyncIterator[bytes]:
    for value in values:
        yield event(value)
    if error is not None:
        raise error


async def test_events_leave_one_by_one_and_the_end_is_left_to_the_caller() -> None:
    client = Client()
    assert await client.read(events({"a": 1}, "two\nlines")) == Sent(200)
    assert client.messages[0]["status"] == 200
    assert (b"x-request-id", b"id-7") in client.messages[0]["headers"]
    assert client.data == [{"a": 1}, "two\nlines"]
    assert all(message["more_body"] for message in client.messages[1:])
    assert client.num_closed == 1
    await end_events(client.send)
    assert not client.messages[-1].get("more_body")


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [(DeadlineExceeded("time is up"), 504, "time is up"), (ZeroDivisionError("secret"), 500, "id-7")],
)
async def test_what_fails_on_the_way_is_the_last_event(error: Exception, status: int, words: str) -> None:
    client = Client()
    assert await client.read(events(1, error=error)) == Sent(status)
    assert client.data[0] == 1
    assert words in client.data[1]["error"]
    assert "secret" not in client.data[1]["error"]
    assert client.num_closed == 1


async def test_who_takes_nothing_has_left() -> None:
    client = Client(stalls_after=2)
    with pytest.raises(ClientDisconnected):
        await client.read(events(*range(100)))
    assert client.num_closed == 1


async def test_a_stream_that_is_given_up_is_closed() -> None:
    client = Client(stalls_after=0)
    reading = asyncio.create_task(client.read(events(1)))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert client.num_closed == 1
