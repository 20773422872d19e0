"""Events that another server would have told, without one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from serving.upstream.client import UpstreamClient
from serving.upstream.seen import Fields, read_fields


def fields(value: Mapping[str, Any]) -> Fields:
    """As they come out of an answer."""
    return read_fields(json.dumps(value).encode())


class ToldClient(UpstreamClient):
    """Every stream tells `events`, then raises `error` if there is one. `num_taken`: how many of them were asked for;
    `num_open`: streams that nobody has left."""

    def __init__(self, *events: Mapping[str, Any], error: BaseException | None = None) -> None:
        super().__init__("http://127.0.0.1:9/v1")
        self._events, self._error = events, error
        self.num_taken = self.num_open = 0

    @asynccontextmanager
    async def stream(self, path: str, key: str, body: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[Fields]]:
        self.num_open += 1
        try:
            yield self._told()
        finally:
            self.num_open -= 1

    async def _told(self) -> AsyncIterator[Fields]:
        for event in self._events:
            self.num_taken += 1
            yield fields(event)
        if self._error is not None:
            raise self._error


async def read_into(read: list[Any], source: AsyncIterable[Any]) -> None:
    """What came before it failed is kept."""
    async for one in source:
        read.append(one)
