"""What each kind of error is called on the wire: the one table of HTTP and gRPC status codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import grpc

from tasks.errors import ErrorKind


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


def http_status(kind: ErrorKind) -> int:
    return STATUSES[kind].http


def grpc_status(kind: ErrorKind) -> grpc.StatusCode:
    return STATUSES[kind].grpc
