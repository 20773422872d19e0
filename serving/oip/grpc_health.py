"""grpc.health.v1: the health of the server, of the inference service, and of each model by its name."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from serving.grpc_disconnects import as_cancelled
from serving.model_host import ModelHost
from serving.oip.metadata import check_ready
from tasks.errors import NotFound, TidegateError

SERVICE = "grpc.health.v1.Health"
WHOLE_SERVER = ("", "inference.GRPCInferenceService", SERVICE)
WATCH_INTERVAL_S = 1.0
MAX_NAME = 200
"""Characters of a name that is not known which go into a message: it travels in a header."""
Status = health_pb2.HealthCheckResponse.ServingStatus


def health_handler(host: ModelHost) -> Any:
    """Both calls of the service, ready to be added to a server."""

    async def check(data: bytes, context: grpc.aio.ServicerContext) -> Any:
        service = await service_of(data, context)
        status = status_of(host, service)
        if status == Status.SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no service or model {service[:MAX_NAME]!r}")
        return health_pb2.HealthCheckResponse(status=status)

    async def watch(data: bytes, context: grpc.aio.ServicerContext) -> None:
        service, told = await service_of(data, context), None
        while True:
            # Asked first: a server that stops while something is told has yet to tell that it stops.
            is_stopping = host.draining
            status = status_of(host, service)
            if status != told:
                with as_cancelled():
                    await context.write(health_pb2.HealthCheckResponse(status=status))
                told = status
            if is_stopping:
                return  # or the server would wait for this call until its patience ends
            await asyncio.sleep(WATCH_INTERVAL_S)

    written = {"response_serializer": health_pb2.HealthCheckResponse.SerializeToString}
    handlers = {
        "Check": grpc.unary_unary_rpc_method_handler(check, **written),
        "Watch": grpc.unary_stream_rpc_method_handler(watch, **written),
    }
    return grpc.method_handlers_generic_handler(SERVICE, handlers)


async def service_of(data: bytes, context: grpc.aio.ServicerContext) -> str:
    """Whose health is asked. Ends the call of bytes that are no message: grpc itself would write a traceback."""
    try:
        return str(health_pb2.HealthCheckRequest.FromString(data).service)
    except DecodeError as error:
        cause = f"the message is no HealthCheckRequest of grpc.health.v1: {error}"
    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, cause)
    raise AssertionError("abort raises")


def status_of(host: ModelHost, service: str) -> int:
    """SERVING, NOT_SERVING, or SERVICE_UNKNOWN for a name that is neither a service nor a model."""
    if service in WHOLE_SERVER:
        return int(Status.SERVING if host.ready() else Status.NOT_SERVING)
    try:
        check_ready(host, service, None)
    except NotFound:
        return int(Status.SERVICE_UNKNOWN)
    except TidegateError:
        return int(Status.NOT_SERVING)
    return int(Status.SERVING)
