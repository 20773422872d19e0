"""Messages over gRPC: bytes of a request → message, error → status."""

from __future__ import annotations

import logging
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from serving.status import grpc_status, wire_message
from tasks.errors import BadInput, TidegateError

log = logging.getLogger(__name__)
PROTOCOL = "grpc"
"""As requests are counted by."""


def parse_message(kind: str, data: bytes) -> Any:
    """The bytes of a request as the message that its call takes. Raises BadInput.

    Not left to grpc, which would answer UNKNOWN, write a traceback to the log and leave a stream's client waiting.
    """
    try:
        return getattr(service_pb2, kind).FromString(data)
    except DecodeError as error:
        raise BadInput(f"the message is not a {kind} of the Open Inference Protocol: {error}") from error


def status_of(error: Exception) -> tuple[grpc.StatusCode, str]:
    """An error as status and message; a fault of ours is logged, and the caller is told no details."""
    if isinstance(error, TidegateError):
        return grpc_status(error.kind), wire_message(error)
    log.error("a gRPC call failed", exc_info=error)
    return grpc.StatusCode.INTERNAL, "internal error; the server's log has the details"
