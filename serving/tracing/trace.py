"""One request that is followed, as plain numbers: who exports them is not the request path's affair."""

from __future__ import annotations

import os
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from serving.tracing.trace_parent import format_trace_parent

if TYPE_CHECKING:
    from serving.served import Served


class Stage(NamedTuple):
    """A part of a request's time, by the monotonic clock."""

    name: str
    began_at: float
    ended_at: float


class Trace:
    """Written by the event loop alone. `trace_id`: 32 hexadecimal digits, the caller's where it brought one;
    `parent_id`: 16, of the caller's span, empty where there is none; `span_id`: of the span that this becomes."""

    __slots__ = ("attributes", "began_at", "name", "parent_id", "span_id", "stages", "trace_id")

    def __init__(self, trace_id: str, parent_id: str, name: str, began_at: float) -> None:
        self.trace_id, self.parent_id, self.name, self.began_at = trace_id, parent_id, name, began_at
        self.span_id = os.urandom(8).hex()
        self.stages: list[Stage] = []
        self.attributes: dict[str, str | int] = {}

    @property
    def handed_on(self) -> str:
        """The header `traceparent` of calls to other servers that this request makes."""
        return format_trace_parent(self.trace_id, self.span_id)

    def about(self, model: Served | None, request_id: str, status: int | str) -> Trace:
        """The same with what is known at its end, in the words of OpenTelemetry where it has some."""
        self.attributes["tidegate.request_id"] = request_id
        named = "http.response.status_code" if isinstance(status, int) else "rpc.grpc.status_code"
        self.attributes[named] = status
        if model is not None:
            self.attributes |= {"tidegate.model": model.name, "tidegate.version": model.version}
            self.attributes["tidegate.variant"] = model.variant
        return self


CURRENT_TRACE: ContextVar[Trace | None] = ContextVar("trace", default=None)
"""Of the request that is being answered; None where it is not followed."""


def note_stage(trace: Trace | None, name: str, began_at: float, ended_at: float) -> None:
    """What took so long, of a request that is followed."""
    if trace is not None:
        trace.stages.append(Stage(name, began_at, ended_at))
