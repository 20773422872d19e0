"""Server-sent events: an answer that leaves piece by piece while it is made (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple, TypeVar

import msgspec

from serving.answer import Answer, Header, Wording
from serving.http_body import ClientDisconnected, Send
from serving.served import Served
from tasks.errors import TidegateError

log = logging.getLogger(__name__)
EVENTS_TYPE: Header = (b"content-type", b"text/event-stream; charset=utf-8")
UNBUFFERED: tuple[Header, ...] = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
"""Proxies on the way shall neither keep nor gather what comes (the second one is nginx's)."""


class EventStream(NamedTuple):
    """An answer of status 200 whose end is not known yet. What could fail at once has not failed."""

    events: AsyncIterator[bytes]
    """Framed by `event`, or whatever else goes to the client as it is."""
    close: Callable[[], None]
    """Gives up what has not been made yet. Called in any case, also after the end."""
    headers: tuple[Header, ...] = ()
    """Beside those of every stream."""


def event(value: Any) -> bytes:
    """One event with a JSON value as its data. JSON holds no line break of its own."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


class Sent(NamedTuple):
    """A stream that has left, but for its end. `status`: what it would have been, had nothing been sent before."""

    status: int


Signed = TypeVar("Signed", Answer, EventStream)


def signed(answer: Signed, model: Served) -> Signed:
    """The same with a header that says which version it is from."""
    return answer._replace(headers=(*answer.headers, (b"x-model-version", model.version.encode())))


async def send_events(
    send: Send, stream: EventStream, wording: Wording, request_id: bytes, stall_timeout_s: float
) -> Sent:
    """Everything but the end of the message. What goes wrong on the way is the last event.

    A client that takes nothing for `stall_timeout_s` counts as gone: raises ClientDisconnected.
    """
    headers = [EVENTS_TYPE, *UNBUFFERED, *stream.headers, (b"x-request-id", request_id)]
    try:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            async for piece in stream.events:
                async with asyncio.timeout(stall_timeout_s):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError:
            raise ClientDisconnected from None
        except TidegateError as error:
            failure = wording.error_answer(error)
        except Exception:
            log.exception("a stream failed")
            failure = wording.internal_error(request_id)
        else:
            return Sent(200)
        await send({"type": "http.response.body", "body": failure_event(failure), "more_body": True})
        return Sent(failure.status)
    finally:
        stream.close()


def failure_event(answer: Answer) -> bytes:
    """What is told within a stream is what an answer of its own would have said."""
    return b"data: " + answer.body + b"\n\n"


async def end_events(send: Send) -> None:
    """The end of the message."""
    await send({"type": "http.response.body", "body": b""})
