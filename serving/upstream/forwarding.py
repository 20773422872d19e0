"""A stream of another server's events on its way to our client, under our name for the model."""

from __future__ import annotations

from collections.abc import AsyncIterator

from serving.event_stream import event
from serving.openai.head import DONE
from serving.upstream.pump import Pump
from serving.upstream.seen import Fields
from serving.upstream.visit import Visit


class Forwarding:
    """`wants_usage`: whether our client asked for the chunk that says what the request took. We always do."""

    def __init__(self, name: str, pump: Pump, visit: Visit, wants_usage: bool) -> None:
        self._name, self._visit, self._wants_usage = name, visit, wants_usage
        self._pump, self._chunks = pump, aiter(pump)
        self._first: Fields | None = None

    async def begin(self) -> None:
        """Until there is something to pass on. Raises what keeps the other server from answering at all."""
        try:
            self._first = await anext(self._chunks, None)
        except BaseException as error:
            self._pump.cancel()
            self._visit.fail(error)
            raise

    async def events(self) -> AsyncIterator[bytes]:
        """Framed. Raises what keeps the answer from coming to its end."""
        try:
            if self._first is not None:
                for piece in self._passed_on(self._first):
                    yield piece
            async for chunk in self._chunks:
                for piece in self._passed_on(chunk):
                    yield piece
        except Exception as error:
            self._visit.fail(error)
            raise
        self._visit.succeed()
        yield DONE

    def cancel(self) -> None:
        """Hang up on the other server. Without effect after the end."""
        self._pump.cancel()
        self._visit.leave()

    def _passed_on(self, chunk: Fields) -> list[bytes]:
        seen = self._visit.note_piece(chunk)
        if not self._wants_usage:
            if seen.usage is not None and not seen.choices:
                return []
            chunk.pop("usage", None)
        return [event(chunk | {"model": self._name})]
