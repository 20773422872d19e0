"""The Open Inference Protocol over gRPC: which call is answered how."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.json_format import ParseDict
from tritonclient.grpc import service_pb2

from serving.access.access import Access
from serving.access.grpc_gate import GatedCalls
from serving.access.keyless_calls import KeylessCalls
from serving.config import ServerConfig
from serving.metrics import Metrics
from serving.model_host import ModelHost
from serving.oip import metadata, statistics
from serving.oip.grpc_health import health_handler
from serving.oip.grpc_inference import InferenceCalls
from serving.oip.grpc_message import PROTOCOL, parse_message, status_of
from serving.oip.grpc_stream import InferenceStreams
from serving.oip.shared_memory import SharedMemoryRegions
from serving.tracing.tracing import NO_TRACING, Tracing
from tasks.errors import Forbidden, TidegateError, Unsupported

SERVICE = "inference.GRPCInferenceService"
ADMINISTRATION = (
    "RepositoryModelLoad",
    "RepositoryModelUnload",
    "SystemSharedMemoryStatus",
    "SystemSharedMemoryRegister",
    "SystemSharedMemoryUnregister",
)
UNSUPPORTED = (
    "CudaSharedMemoryStatus",
    "CudaSharedMemoryRegister",
    "CudaSharedMemoryUnregister",
    "TraceSetting",
    "LogSettings",
)
Call = Callable[[Any], Any]
"""A request message → a response message. Raises TidegateError."""


def add_services(
    server: grpc.aio.Server,
    host: ModelHost,
    config: ServerConfig,
    metrics: Metrics,
    regions: SharedMemoryRegions,
    access: Access,
    tracing: Tracing = NO_TRACING,
) -> None:
    """Inference and health, on a server that was not started yet."""
    inference = InferenceCalls(host, config, metrics, regions, tracing)
    calls = descriptive_calls(host, config) | dict.fromkeys(ADMINISTRATION, forbid) | dict.fromkeys(UNSUPPORTED, refuse)
    handlers = {name: unary_handler(name, answered(name, call, metrics)) for name, call in calls.items()}
    handlers["ModelInfer"] = unary_handler("ModelInfer", inference.infer)
    handlers["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(
        InferenceStreams(inference, host, regions, access).answer,
        response_serializer=service_pb2.ModelStreamInferResponse.SerializeToString,
    )
    services = (grpc.method_handlers_generic_handler(SERVICE, handlers), health_handler(host))
    keyless = KeylessCalls(metrics.access)
    server.add_generic_rpc_handlers([GatedCalls(service, access, metrics, keyless) for service in services])


def unary_handler(name: str, behaviour: Callable[[Any, grpc.aio.ServicerContext], Awaitable[Any]]) -> Any:
    """A handler for one request, as bytes, and one response, whose message is named after the call."""
    return grpc.unary_unary_rpc_method_handler(
        behaviour,
        response_serializer=getattr(service_pb2, f"{name}Response").SerializeToString,
    )


def answered(name: str, call: Call, metrics: Metrics) -> Callable[[bytes, grpc.aio.ServicerContext], Awaitable[Any]]:
    """A call that describes something, with its errors as status codes and its requests counted."""

    async def behaviour(data: bytes, context: grpc.aio.ServicerContext) -> Any:
        code, details, response = grpc.StatusCode.OK, "", None
        try:
            response = call(parse_message(f"{name}Request", data))
        except Exception as error:
            code, details = status_of(error)
        del data
        metrics.request_without_model(PROTOCOL, code.name)
        if response is None:
            await context.abort(code, details)
        return response

    return behaviour


def descriptive_calls(host: ModelHost, config: ServerConfig) -> dict[str, Call]:
    """Everything that says what there is."""
    extensions = (*metadata.EXTENSIONS, *((metadata.SHARED_MEMORY_EXTENSION,) if config.shared_memory else ()))

    def model_ready(message: Any) -> Any:
        try:
            metadata.check_ready(host, message.name, message.version or None)
        except TidegateError:
            return service_pb2.ModelReadyResponse(ready=False)
        return service_pb2.ModelReadyResponse(ready=True)

    def model_metadata(message: Any) -> Any:
        described = metadata.model_metadata(host.get(message.name, message.version or None))
        del described["parameters"]  # the message has no place for it; ModelConfig says the same
        return ParseDict(described, service_pb2.ModelMetadataResponse())

    def model_config(message: Any) -> Any:
        described = metadata.model_config(host.get(message.name, message.version or None))
        return ParseDict({"config": described}, service_pb2.ModelConfigResponse())

    def model_statistics(message: Any) -> Any:
        named = message.name
        models = [host.get(named, message.version or None)] if named else metadata.ready_models(host)
        seen = {"model_stats": [statistics.model_statistics(model) for model in models]}
        return ParseDict(seen, service_pb2.ModelStatisticsResponse())

    def repository_index(message: Any) -> Any:
        states = [state.without_places() for state in host.index()]
        index = metadata.repository_index(states, ready_only=message.ready)
        return ParseDict({"models": index}, service_pb2.RepositoryIndexResponse())

    return {
        "ServerLive": lambda message: service_pb2.ServerLiveResponse(live=True),
        "ServerReady": lambda message: service_pb2.ServerReadyResponse(ready=host.ready()),
        "ServerMetadata": lambda message: service_pb2.ServerMetadataResponse(**metadata.server_metadata(extensions)),
        "ModelReady": model_ready,
        "ModelMetadata": model_metadata,
        "ModelConfig": model_config,
        "ModelStatistics": model_statistics,
        "RepositoryIndex": repository_index,
    }


def forbid(message: Any) -> Any:
    raise Forbidden("this is a call of administration: use the administration port (HTTP) and its token")


def refuse(message: Any) -> Any:
    raise Unsupported("this call is not offered by this server; ServerMetadata lists its extensions")
