"""An HTTP answer: status, headers, body; and how an error becomes one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from serving.http_body import Receive, Send, UnreadBody
from serving.status import http_status, wire_message
from tasks.errors import ErrorKind, Overloaded, TidegateError

Header = tuple[bytes, bytes]
JSON_TYPE: Header = (b"content-type", b"application/json")
BINARY_TYPE: Header = (b"content-type", b"application/octet-stream")
CLOSE: Header = (b"connection", b"close")
LINGER_S = 2.0


class Answer(NamedTuple):
    """What goes back to the client. `content-length` and the request id are added on sending."""

    status: int
    headers: tuple[Header, ...]
    body: bytes


CLIENT_LEFT = Answer(499, (), b"")
"""Never sent, only counted: the client closed the connection before its answer (nginx's code)."""


class Wording(NamedTuple):
    """How a family of routes tells what went wrong, in an answer or within a stream that has begun."""

    error_answer: Callable[[TidegateError], Answer]
    internal_error: Callable[[bytes], Answer]
    """For a fault of ours, by the id of the request."""


def json_answer(value: Any, status: int = 200) -> Answer:
    return Answer(status, (JSON_TYPE,), msgspec.json.encode(value))


def error_answer(error: TidegateError) -> Answer:
    """`{"error": …}` under the status of the error's kind."""
    headers: tuple[Header, ...] = (JSON_TYPE,)
    if isinstance(error, Overloaded):
        headers += ((b"retry-after", b"%d" % max(1, round(error.retry_after_s))),)
    if error.kind == ErrorKind.UNAUTHENTICATED:
        headers += ((b"www-authenticate", b"Bearer"),)
    if isinstance(error, UnreadBody):
        headers += (CLOSE,)
    return Answer(http_status(error.kind), headers, msgspec.json.encode({"error": wire_message(error)}))


def internal_error(request_id: bytes) -> Answer:
    """What a caller is told of a fault of ours; the log has the rest under the same id."""
    told = f"internal error; the server's log has the details under request id {request_id.decode()}"
    return json_answer({"error": told}, 500)


PLAIN_WORDING = Wording(error_answer, internal_error)


def method_not_allowed(method: str, path: str, allowed: bytes) -> Answer:
    told = f"{method} is not allowed on {path[:200]}; use {allowed.decode()}"
    return Answer(405, (JSON_TYPE, (b"allow", allowed)), msgspec.json.encode({"error": told}))


async def send_answer(receive: Receive, send: Send, answer: Answer, request_id: bytes) -> None:
    """Two messages, the least that ASGI allows. A client who sent too much is read on for a moment."""
    length = (b"content-length", b"%d" % len(answer.body))
    headers = [*answer.headers, length, (b"x-request-id", request_id)]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if CLOSE not in answer.headers:
        await send({"type": "http.response.body", "body": answer.body})
        return
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    await linger(receive)
    await send({"type": "http.response.body", "body": b""})


async def linger(receive: Receive) -> None:
    """Discard what a client goes on sending, for a moment.

    Closing the connection at once would reset it, and many clients would lose the answer that says why.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            while (await receive()).get("more_body"):
                pass
