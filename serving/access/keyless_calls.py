"""Calls over gRPC that need no key, from callers who bring none: few at once, and none that is only held open.

They can be held in three ways: by never sending the message, by never taking the answer (its flow control is the
client's), and by watching. Each has its own number of places, so that strangers keep out nobody but other strangers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any

import grpc

from serving.access.counts import AccessCounts, Reason
from serving.access.places import Places
from serving.grpc_disconnects import as_cancelled
from tasks.errors import BadInput, Overloaded, TidegateError, TooLarge

FIRST_MESSAGE_S = 5.0
"""For a message that has a few bytes."""
MAX_MESSAGE_BYTES = 1024
"""Of the name of a model. What is kept of a call while its answer is not taken, or while it watches, is its message."""
MAX_ASKING, MAX_ANSWERED, MAX_WATCHING = 4, 16, 256
"""The fewest may ask at once: a message that is too long is refused when it is there, and until then may be as long as
any that the server takes. One that is sent at once holds its place for less than a millisecond."""
COMPLAINT_INTERVAL_S = 60.0
log = logging.getLogger(__name__)
Refuse = Callable[[TidegateError, grpc.aio.ServicerContext], Awaitable[None]]
"""Ends a call with an error."""


class Silent(BadInput):
    """A message that did not come. No fault of the server, as DeadlineExceeded is counted."""


REASONS: Mapping[type[TidegateError], Reason] = {
    Overloaded: Reason.CROWD,
    Silent: Reason.SILENT,
    TooLarge: Reason.LONG,
}
"""Of what somebody can fill the places or the memory with. Other calls end badly by mistake, and soon."""


class KeylessCalls:
    """Of one server that asks for keys."""

    max_places = MAX_ASKING + MAX_ANSWERED + MAX_WATCHING
    """What the server must have room for beside the calls of those who bring keys."""

    def __init__(self, counts: AccessCounts) -> None:
        self._counts = counts
        self._asking = Places(MAX_ASKING, "calls without a key that wait for their message")
        self._answered = Places(MAX_ANSWERED, "calls without a key whose answer is not taken yet")
        self._watching = Places(MAX_WATCHING, "watches without a key")
        self._complained_at = -COMPLAINT_INTERVAL_S

    def bounded(self, handler: Any, refuse: Refuse) -> Any:
        """A handler that answers as `handler` does, one of a single request, while there are places."""

        async def answer(messages: Any, context: grpc.aio.ServicerContext) -> None:
            try:
                request = await self._first_message(context)
                (self._watching if handler.response_streaming else self._answered).keep_for(context)
            except TidegateError as error:
                self._count(error)
                await refuse(error, context)
                return
            with as_cancelled():
                if handler.response_streaming:
                    await handler.unary_stream(request, context)
                else:
                    await context.write(await handler.unary_unary(request, context))

        # One of streams, whatever the call: grpc itself would wait for a message without end.
        return grpc.stream_stream_rpc_method_handler(answer, handler.request_deserializer, handler.response_serializer)

    async def _first_message(self, context: grpc.aio.ServicerContext) -> Any:
        """Raises Overloaded where too many ask, Silent for one that does not come, TooLarge, BadInput for none."""
        with self._asking.one():
            # Not cancelled when time is up: the end of the call ends it, and frees what it has read.
            reading = asyncio.ensure_future(context.read())
            reading.add_done_callback(forget)
            done, _ = await asyncio.wait({reading}, timeout=FIRST_MESSAGE_S)
        if not done:
            raise Silent(f"the message has not come within {FIRST_MESSAGE_S:g} s: bring a key, or send it")
        message = reading.result()
        if message is grpc.aio.EOF:
            raise BadInput("the call ended without its message: send one")
        if (num_bytes := len(message)) > MAX_MESSAGE_BYTES:
            # Or the error would keep it, and the call the error, until its last byte is sent.
            del message, reading, done
            raise TooLarge(
                f"the message has {num_bytes} bytes, more than {MAX_MESSAGE_BYTES}: bring a key, or send less"
            )
        return message

    def _count(self, error: TidegateError) -> None:
        """The log is told once in a while, the metric always."""
        if (reason := REASONS.get(type(error))) is None:
            return
        self._counts.refuse(reason)
        if monotonic() - self._complained_at >= COMPLAINT_INTERVAL_S:
            self._complained_at = monotonic()
            log.warning("a call over gRPC without a key was refused: %s", error)


def forget(reading: asyncio.Future[Any]) -> None:
    """Whoever waited for it is gone, and nobody else asks how it ended."""
    if not reading.cancelled():
        reading.exception()
