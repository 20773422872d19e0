"""The metrics port's ASGI application: what Prometheus reads.

Under the same HTTP server as everything else, so that connections are limited and a client who leaves is nobody's
trouble; the server that comes with the Prometheus client starts a thread for each connection and has no time limits.
"""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.exposition import generate_latest as as_text
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.openmetrics.exposition import generate_latest as as_openmetrics

from serving.answer import Answer, error_answer, method_not_allowed, send_answer
from serving.http_body import Receive, Scope, Send
from tasks.errors import NotFound

REQUEST_ID = b"scrape"
PATHS = ("/", "/metrics")
OPENMETRICS = "application/openmetrics-text;version=1.0.0"


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
            answer = await self._answer(dict(scope["headers"]).get(b"accept", b"").decode("latin-1"))
        await send_answer(receive, send, answer, REQUEST_ID)

    async def _answer(self, accepted: str) -> Answer:
        """All metrics, in OpenMetrics for who asks for it, as Prometheus does (it alone has exemplars), else in the
        text format. Written on a thread: it takes milliseconds."""
        asks = OPENMETRICS in accepted.replace(" ", "")
        encode, content_type = (as_openmetrics, CONTENT_TYPE_LATEST) if asks else (as_text, CONTENT_TYPE_PLAIN_0_0_4)
        body = await asyncio.to_thread(encode, self._registry)
        return Answer(200, ((b"content-type", content_type.encode()),), body)
