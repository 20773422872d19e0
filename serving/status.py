"""What an error is called on the wire: the one table of HTTP and gRPC status codes, and how long a message may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import grpc

from tasks.errors import ErrorKind, TidegateError


class WireStatus(NamedTuple):
    """One kind of error in both protocols."""

    http: int
    grpc: grpc.StatusCode


STATUSES: Mapping[ErrorKind, WireStatus] = {
    ErrorKind.BAD_INPUT: WireStatus(400, grpc.StatusCode.INVALID_ARGUMENT),
    ErrorKind.TOO_LARGE: WireStatus(413, grpc.StatusCode.INVALID_ARGUMENT),
    ErrorKind.UNAUTHENTICATED: WireStatus(401, grpc.StatusCode.UNAUTHENTICATED),
    ErrorKind.FORBIDDEN: WireStatus(403, grpc.StatusCode.PERMISSION_DENIED),
    ErrorKind.NOT_FOUND: WireStatus(404, grpc.StatusCode.NOT_FOUND),
    ErrorKind.CONFLICT: WireStatus(409, grpc.StatusCode.ABORTED),
    ErrorKind.OVERLOADED: WireStatus(429, grpc.StatusCode.RESOURCE_EXHAUSTED),
    ErrorKind.UNSUPPORTED: WireStatus(501, grpc.StatusCode.UNIMPLEMENTED),
    ErrorKind.NOT_READY: WireStatus(503, grpc.StatusCode.UNAVAILABLE),
    ErrorKind.DEADLINE_EXCEEDED: WireStatus(504, grpc.StatusCode.DEADLINE_EXCEEDED),
    ErrorKind.INVALID_PACKAGE: WireStatus(503, grpc.StatusCode.UNAVAILABLE),
    ErrorKind.INVALID_RECIPE: WireStatus(400, grpc.StatusCode.INVALID_ARGUMENT),
    ErrorKind.GATE_FAILED: WireStatus(409, grpc.StatusCode.FAILED_PRECONDITION),
}


MAX_MESSAGE = 600
"""Characters of an error that a caller is shown. Errors quote what was sent, which may be megabytes, and gRPC carries
its message in a header, of which clients take eight kilobytes."""


def wire_message(error: TidegateError) -> str:
    """What a caller is told: the cause, however much of it was quoted."""
    told = str(error)
    return told if len(told) <= MAX_MESSAGE else f"{told[: MAX_MESSAGE // 2]} … {told[-MAX_MESSAGE // 2 :]}"


def http_status(kind: ErrorKind) -> int:
    return STATUSES[kind].http


def grpc_status(kind: ErrorKind) -> grpc.StatusCode:
    return STATUSES[kind].grpc
