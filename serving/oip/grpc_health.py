"""grpc.health.v1: the health of the server, of the inference service, and of each model by its name."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from serving.model_host import ModelHost
from serving.oip.metadata import check_ready
from tasks.errors import NotFound, TidegateError

SERVICE = "grpc.health.v1.Health"
WHOLE_SERVER = ("", "inference.GRPCInferenceService", SERVICE)
WATCH_INTERVAL_S = 1.0
Status = health_pb2.HealthCheckResponse.ServingStatus


def health_handler(host: ModelHost) -> Any:
    """Both calls of the service, ready to be added to a server."""

    async def check(message: Any, context: grpc.aio.ServicerContext) -> Any:
        status = status_of(host, message.service)
        if status == Status.SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no service or model {message.service!r}")
        return health_pb2.HealthCheckResponse(status=status)

    async def watch(message: Any, context: grpc.aio.ServicerContext) -> None:
        told = None
        while True:
            # Asked first: a server that stops while something is told has yet to tell that it stops.
            is_stopping = host.draining
            status = status_of(host, message.service)
            if status != told:
                await context.write(health_pb2.HealthCheckResponse(status=status))
                told = status
            if is_stopping:
                return  # or the server would wait for this call until its patience ends
            await asyncio.sleep(WATCH_INTERVAL_S)

    messages = {
        "request_deserializer": health_pb2.HealthCheckRequest.FromString,
        "response_serializer": health_pb2.HealthCheckResponse.SerializeToString,
    }
    handlers = {
        "Check": grpc.unary_unary_rpc_method_handler(check, **messages),
        "Watch": grpc.unary_stream_rpc_method_handler(watch, **messages),
    }
    return grpc.method_handlers_generic_handler(SERVICE, handlers)


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
