from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from serving.disconnects import DisconnectWatch
from serving.http_body import Message
from tests.serving.protocol_server import ProtocolServer
from tests.serving.wire import INFER, image_input


class Client:
    """An ASGI connection whose client can leave."""

    def __init__(self, body: bytes = b"") -> None:
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._messages.put_nowait({"type": "http.request", "body": body, "more_body": False})
        self.sent: list[Message] = []

    def leave(self) -> None:
        self._messages.put_nowait({"type": "http.disconnect"})

    async def receive(self) -> Message:
        return await self._messages.get()

    async def send(self, message: Message) -> None:
        self.sent.append(message)


async def test_a_client_that_leaves_ends_the_wait() -> None:
    watch, client = DisconnectWatch(), Client()

    async def wait() -> bool:
        task = asyncio.current_task()
        assert task is not None
        watch.enter(task, client.receive)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return watch.has_departed(task)
        finally:
            watch.leave(task)
        return False

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    client.leave()
    assert await asyncio.wait_for(waiting, 10)


async def test_cancelling_for_another_reason_is_not_taken_for_a_departure() -> None:
    watch, client = DisconnectWatch(), Client()

    async def wait() -> None:
        task = asyncio.current_task()
        assert task is not None
        watch.enter(task, client.receive)
        try:
            await asyncio.sleep(60)
        finally:
            assert not watch.has_departed(task)
            watch.leave(task)

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_the_work_of_a_client_that_left_is_dropped_and_counted(
    protocol: ProtocolServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = protocol.host.get("colours")
    cancelled = asyncio.Event()

    async def never(*_: Any) -> dict[str, np.ndarray]:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()
        return {}

    monkeypatch.setattr(model, "infer", never)
    request = protocol.http.build_request("POST", INFER, json={"inputs": [image_input()]})
    client = Client(request.read())
    scope = {"type": "http", "method": "POST", "path": INFER, "query_string": b"", "headers": request.headers.raw}
    serving = asyncio.create_task(protocol.front(scope, client.receive, client.send))
    await asyncio.sleep(0.01)
    client.leave()
    await asyncio.wait_for(serving, 10)
    assert cancelled.is_set()
    assert client.sent == []
    assert 'code="499",model="colours"' in protocol.scrape()
