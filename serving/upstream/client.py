"""HTTP to another server: the only file of the server that imports httpx.

What goes wrong there becomes an error of ours, in words that name neither its address nor our key.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec

from serving.tracing.trace import CURRENT_TRACE
from serving.tracing.trace_parent import HEADER as TRACE_PARENT
from serving.upstream.event_lines import EventLines
from serving.upstream.seen import Fields, read_fields
from tasks.errors import BadInput, DeadlineExceeded, NotReady, Overloaded, TidegateError, TooLarge

log = logging.getLogger(__name__)
CONNECT_TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 16 * 2**20
"""So much is looked through within some 30 ms, for which the event loop does nothing else: a thread would not help, it
would hold the interpreter as long."""
MAX_ERROR_BYTES = 2**16
"""Of an error, beyond which its words are not looked for."""
DATA = b"data:"
END = b"[DONE]"
NO_ERROR = (b"null", b"{}", b'""')
"""What servers say in a field `error` where there is none."""


class UpstreamClient:
    """Connections to one server are kept and shared. Lives on one event loop."""

    def __init__(self, url: str) -> None:
        # How long an answer may take is the caller's deadline, of which this file knows nothing.
        timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT_S)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        self._client = httpx.AsyncClient(base_url=url.rstrip("/") + "/", timeout=timeout, limits=limits)

    async def get(self, path: str, key: str) -> Fields:
        """The JSON object that is there. Raises as `post`."""
        async with self._sent("GET", path, key, None) as response:
            return read_fields(await read_limited(response))

    async def post(self, path: str, key: str, body: Mapping[str, Any]) -> Fields:
        """The JSON object that answers another.

        Raises BadInput for what the other server says is wrong with the request, Overloaded, DeadlineExceeded, and
        NotReady for everything that neither the caller nor his request is to blame for.
        """
        async with self._sent("POST", path, key, body) as response:
            return read_fields(await read_limited(response))

    @asynccontextmanager
    async def stream(self, path: str, key: str, body: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[Fields]]:
        """The data of each event of the answer, as it comes. Leaving the context closes the connection, by which the
        other server knows that nobody wants the rest. Raises as `post`, here and while the events come."""
        async with self._sent("POST", path, key, body) as response:
            yield events_of(response)

    async def close(self) -> None:
        await self._client.aclose()

    @asynccontextmanager
    async def _sent(
        self, method: str, path: str, key: str, body: Mapping[str, Any] | None
    ) -> AsyncIterator[httpx.Response]:
        """A response of status 200 whose body has not been read."""
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        if (trace := CURRENT_TRACE.get()) is not None:
            headers[TRACE_PARENT.decode()] = trace.handed_on
        content = None if body is None else msgspec.json.encode(body)
        try:
            async with self._client.stream(method, path, content=content, headers=headers) as response:
                if response.status_code != httpx.codes.OK:
                    raise error_of(response.status_code, response.headers, await read_limited(response))
                yield response
        except httpx.ConnectError as error:
            log.warning("an upstream server can not be reached: %s", error)
            raise NotReady("the upstream server of this model can not be reached") from error
        except httpx.TimeoutException as error:
            raise NotReady("the upstream server of this model does not answer") from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            log.warning("an upstream server failed: %s: %s", type(error).__name__, error)
            raise NotReady("the upstream server of this model broke off in the middle of its answer") from error


async def events_of(response: httpx.Response) -> AsyncIterator[Fields]:
    """The JSON of each event, up to `[DONE]`. Raises NotReady where the stream ends without it, or tells an error."""
    lines = EventLines()
    async for piece in response.aiter_bytes():
        for line in lines.push(piece):
            if not line.startswith(DATA):
                continue
            data = line.removeprefix(DATA).strip()
            if data == END:
                return
            yield checked_event(data)
    raise NotReady("the upstream server of this model broke off in the middle of its answer")


def checked_event(data: bytes) -> Fields:
    fields = read_fields(data)
    error = bytes(fields.get("error", b"null"))
    if error not in NO_ERROR:
        told = words_of(error) or "it does not say why"
        raise NotReady(f"the upstream server failed in the middle of its answer: {told}")
    return fields


async def read_limited(response: httpx.Response) -> bytes:
    """The body. Raises NotReady for one beyond all measure."""
    chunks, size = [], 0
    async for chunk in response.aiter_bytes():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise NotReady(f"the upstream server of this model answers with more than {MAX_ANSWER_BYTES} bytes")
    return b"".join(chunks)


def error_of(status: int, headers: Mapping[str, str], content: bytes) -> TidegateError:
    """What an error of the other server means to our caller."""
    told = words_of(content)
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return Overloaded(told or "the upstream server is overloaded; try again later", retry_after(headers))
    if status in (httpx.codes.REQUEST_TIMEOUT, httpx.codes.GATEWAY_TIMEOUT):
        return DeadlineExceeded(told or "the upstream server took too long")
    if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        return TooLarge(told or "the request is too large for the upstream server")
    if status in (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY, httpx.codes.NOT_IMPLEMENTED):
        return BadInput(told or f"the upstream server refuses the request with status {status}")
    # Among them a key that it does not take, and a model that it does not have: the deployment is to blame.
    log.error("an upstream server answers with status %d: %s", status, told)
    return NotReady(f"the upstream server of this model answers with status {status}")


def words_of(content: bytes) -> str:
    """Those of an error in OpenAI's form, or in that of this project; none where it has another."""
    if len(content) > MAX_ERROR_BYTES:
        return ""
    try:
        body = msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    error = body.get("error", body) if isinstance(body, dict) else body
    told = error.get("message", error) if isinstance(error, dict) else error
    return str(told)


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds; one where the header says nothing of use."""
    try:
        return min(3600.0, max(1.0, float(headers.get("retry-after", "1"))))
    except ValueError:
        return 1.0
