"""Which requests are followed, and what becomes of what was seen of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from importlib.util import find_spec
from random import random
from typing import Protocol
from urllib.parse import urlsplit

from serving.config import ServerConfig
from serving.tracing.trace import CURRENT_TRACE, Trace
from serving.tracing.trace_parent import HEADER, parse_trace_parent
from tasks.errors import InvalidRecipe

PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


class TraceSink(Protocol):
    """Takes traces that have ended away. Called on the event loop, and must not hold it up for long."""

    def take(self, trace: Trace, ended_at: float) -> None:
        """`ended_at`: by the monotonic clock."""
        ...

    def close(self) -> None:
        """Sends what is left. Blocks for a few seconds at most."""
        ...


class Tracing:
    """Follows a share of the requests, and all whose caller follows them. `sink`: None where nobody is followed."""

    def __init__(self, share: float = 0.0, sink: TraceSink | None = None) -> None:
        self._share, self._sink = share, sink

    @property
    def is_on(self) -> bool:
        """Whether anybody is followed at all."""
        return self._sink is not None

    def begin(self, name: str, headers: Mapping[bytes, bytes], began_at: float) -> Trace | None:
        """The trace of a request that came in at `began_at`, if it is to be followed: from now on CURRENT_TRACE of its
        task."""
        if self._sink is None:
            return None
        caller = parse_trace_parent(headers.get(HEADER))
        if caller is None:
            trace = Trace(os.urandom(16).hex(), "", name, began_at) if random() < self._share else None
        else:
            trace = Trace(caller.trace_id, caller.span_id, name, began_at) if caller.is_sampled else None
        CURRENT_TRACE.set(trace)
        return trace

    def end(self, trace: Trace, ended_at: float) -> None:
        """Whoever asked has his answer, or is about to: what follows takes nobody's time but the loop's."""
        if self._sink is not None:
            asyncio.get_running_loop().call_soon(self._sink.take, trace, ended_at)

    def close(self) -> None:
        """Sends what is left."""
        if self._sink is not None:
            self._sink.close()


NO_TRACING = Tracing()
"""Follows nobody."""


def open_tracing(config: ServerConfig) -> Tracing:
    """As the configuration says. Raises InvalidRecipe where traces are asked for and what sends them is not there, or
    there is no such place."""
    if not config.traces_url:
        return Tracing()
    check_address(config.traces_url)
    if any(find_spec(package.partition(".")[0]) is None or find_spec(package) is None for package in PACKAGES):
        raise InvalidRecipe(
            "configuration: traces_url asks for traces, and OpenTelemetry is not installed; pip install "
            "'tidegate[traces]', or leave traces_url out"
        )
    from serving.tracing.otlp import OtlpSink

    return Tracing(config.trace_share, OtlpSink(config.traces_url))


def check_address(url: str) -> None:
    """Raises InvalidRecipe, without the URL: it may hold a password."""
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise InvalidRecipe(
            "configuration: traces_url must be where a collector takes OTLP over HTTP, like "
            "http://collector:4318/v1/traces"
        )
