"""The HTTP server under our applications: uvicorn with httptools, on a socket and an event loop of ours.

Added to it: a limit on connections, a limit on the time a request may take to arrive, and a shutdown in which a client
that keeps its connection open gets an answer and `connection: close` instead of a reset.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from functools import partial
from time import monotonic
from typing import Any

import msgspec
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serving.access.tls import Tls
from serving.config import ServerConfig

LINGER_S = 0.5
"""How long a connection without a request stays open once the server is leaving."""
MAX_HEAD_BYTES = 65_536
"""What a request may have beside its body, in one stretch: the parser itself would collect headers without end."""
TICKS_BETWEEN_SWEEPS = 5
"""uvicorn ticks ten times a second."""


class Connection(HttpToolsProtocol):
    """One client's connection. `receiving_since`: when the request that is arriving began to; None between requests."""

    def __init__(self, *arguments: Any, max_connections: int, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._max_connections = max_connections
        self._leaving = False
        self._num_head_bytes = 0
        self._running: RequestResponseCycle | None = None
        self.receiving_since: float | None = monotonic()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._max_connections:
            self._refuse(b"429 Too Many Requests", "too many connections; try again later", b"retry-after: 1\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        """uvicorn tells the request that was read last; of pipelined ones, another may be the one being answered."""
        self.pipeline.clear()
        if self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_message_begin(self) -> None:
        if self.receiving_since is None:
            self.receiving_since = monotonic()
        super().on_message_begin()

    def data_received(self, data: bytes) -> None:
        self._num_head_bytes += len(data)
        super().data_received(data)
        if self._num_head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(b"431 Request Header Fields Too Large", f"headers may take {MAX_HEAD_BYTES} bytes at most")

    def on_body(self, body: bytes) -> None:
        self._num_head_bytes = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self._leaving:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        self.receiving_since = None
        self._num_head_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(b"400 Bad Request", f"{msg} Expected HTTP/1.1.")

    def shutdown(self) -> None:
        """A client may have sent its next request just now: whoever is idle is given a moment."""
        self._leaving = True
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(LINGER_S, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    def _close_if_idle(self) -> None:
        """At once where nothing is left to be sent: a proper end of TLS waits for a client who may not even listen."""
        if self.cycle is not None and not self.cycle.response_complete:
            return
        if self.transport.get_write_buffer_size():
            self.transport.close()
        else:
            self.transport.abort()

    def _refuse(self, status: bytes, error: str, headers: bytes = b"") -> None:
        body = msgspec.json.encode({"error": error})
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % (status, len(body))
        self.transport.write(head + headers + b"connection: close\r\n\r\n" + body)
        self.transport.close()


class Listener(uvicorn.Server):
    """uvicorn, but signals are the application's affair, and nobody may take for ever to send a request."""

    def __init__(self, config: uvicorn.Config, receive_timeout_s: float) -> None:
        super().__init__(config)
        self._receive_timeout_s = receive_timeout_s
        self.accepting = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS_BETWEEN_SWEEPS == 0:
            latest = monotonic() - self._receive_timeout_s
            for connection in list(self.server_state.connections):
                since = getattr(connection, "receiving_since", None)
                if since is not None and since < latest:
                    connection.transport.close()
        return await super().on_tick(counter)


class HttpServer:
    """One application on one port."""

    def __init__(self, application: Any, listener: socket.socket, config: ServerConfig, tls: Tls | None = None) -> None:
        settings = uvicorn.Config(
            application,
            http=Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=config.keep_alive_timeout_s,
            timeout_graceful_shutdown=max(1, round(config.drain_timeout_s)),
        )
        settings.load()
        settings.ssl = tls.context if tls else None
        settings.http_protocol_class = partial(Connection, max_connections=config.max_connections)  # type: ignore[assignment]
        self._server = Listener(settings, config.receive_timeout_s)
        self._listener = listener
        self._running: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        number: int = self._listener.getsockname()[1]
        return number

    async def start(self) -> None:
        """Returns once connections are accepted."""
        self._running = asyncio.create_task(self._server.serve([self._listener]))
        await self._server.accepting.wait()

    async def stop(self) -> None:
        """Accept nobody any more, answer what was accepted, return when that is done or its time is up."""
        self._server.should_exit = True
        if self._running is not None:
            await self._running
