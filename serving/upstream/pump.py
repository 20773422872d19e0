"""A stream of another server's events, read ahead a little by a task of its own, which can be ended at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from serving.deadline import Deadline, within
from serving.upstream.client import UpstreamClient
from serving.upstream.seen import Fields

MAX_AHEAD = 64
"""Events that wait for a client who reads slowly; then the other server's connection has to wait too."""


class Pump:
    """Begins at once. Iterated over once; whatever goes wrong is raised from there, after the events before it."""

    def __init__(
        self, client: UpstreamClient, path: str, key: str, body: Mapping[str, Any], deadline: Deadline
    ) -> None:
        self._ahead: asyncio.Queue[Fields | Exception | None] = asyncio.Queue(MAX_AHEAD)
        self._task = asyncio.create_task(self._read(client, path, key, body, deadline))

    def cancel(self) -> None:
        """Hang up. Nobody may be reading, and nobody read, any more. Without effect after the end."""
        self._task.cancel()

    async def __aiter__(self) -> AsyncIterator[Fields]:
        while (item := await self._ahead.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    async def _read(
        self, client: UpstreamClient, path: str, key: str, body: Mapping[str, Any], deadline: Deadline
    ) -> None:
        try:
            async with within(deadline), client.stream(path, key, body) as events:
                async for event in events:
                    await self._ahead.put(event)
        except Exception as error:
            await self._ahead.put(error)
        else:
            await self._ahead.put(None)
