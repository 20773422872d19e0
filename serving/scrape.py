"""The metrics port's ASGI application: what Prometheus reads.

Under the same HTTP server as everything else, so that connections are limited and a client who leaves is nobody's
trouble; the server that comes with the Prometheus client starts a thread for each connection and has no time limits.
"""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from serving.answer import Answer, error_answer, method_not_allowed, send_answer
from serving.http_body import Receive, Scope, Send
from tasks.errors import NotFound

REQUEST_ID = b"scrape"
PATHS = ("/", "/metrics")


class Scrapes:
    """The ASGI callable."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in PATHS:
            answer = error_answer(NotFound("there is only /metrics here"))
        elif scope["method"] not in ("GET", "HEAD"):
            answer = method_not_allowed(scope["method"], scope["path"], b"GET, HEAD")
        else:
            answer = await self._answer()
        await send_answer(receive, send, answer, REQUEST_ID)

    async def _answer(self) -> Answer:
        """All metrics, in the text format. Written on a thread: it takes milliseconds."""
        body = await asyncio.to_thread(generate_latest, self._registry)
        return Answer(200, ((b"content-type", CONTENT_TYPE_PLAIN_0_0_4.encode()),), body)
