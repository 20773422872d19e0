"""The Open Inference Protocol over gRPC: which call is answered how."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from time import monotonic
from typing import Any

import grpc
from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from serving.config import ServerConfig
from serving.deadline import Arrival, Deadline
from serving.logs import CURRENT_REQUEST
from serving.metrics import Metrics
from serving.model_host import ModelHost
from serving.oip import metadata
from serving.oip.grpc_health import health_handler
from serving.oip.infer_request import check_num_tensors
from serving.oip.inference import infer, note_encoding
from serving.oip.parameters import deadline_of
from serving.oip.protobuf import build_response, parse_request, plain_parameters
from serving.oip.shared_memory import SharedMemoryRegions
from serving.served import Served
from serving.status import grpc_status, wire_message
from tasks.errors import BadInput, Forbidden, TidegateError, Unsupported

log = logging.getLogger(__name__)
SERVICE = "inference.GRPCInferenceService"
PROTOCOL = "grpc"
MAX_AHEAD = 64
"""Requests of one stream that are worked on at once."""
MAX_ID = 128
"""Characters of a request's id that go into the log."""
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
    server: grpc.aio.Server, host: ModelHost, config: ServerConfig, metrics: Metrics, regions: SharedMemoryRegions
) -> None:
    """Inference and health, on a server that was not started yet."""
    inference = InferenceCalls(host, config, metrics, regions)
    calls = descriptive_calls(host, config) | dict.fromkeys(ADMINISTRATION, forbid) | dict.fromkeys(UNSUPPORTED, refuse)
    handlers = {name: unary_handler(name, answered(name, call, metrics)) for name, call in calls.items()}
    handlers["ModelInfer"] = unary_handler("ModelInfer", inference.infer)
    handlers["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(
        inference.infer_stream,
        response_serializer=service_pb2.ModelStreamInferResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers), health_handler(host)))


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
        seen = {"model_stats": [metadata.model_statistics(model) for model in models]}
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


class InferenceCalls:
    """ModelInfer and ModelStreamInfer. gRPC cancels the running call when its client leaves."""

    def __init__(self, host: ModelHost, config: ServerConfig, metrics: Metrics, regions: SharedMemoryRegions) -> None:
        self._host, self._config, self._metrics, self._regions = host, config, metrics, regions

    async def infer(self, data: bytes, context: grpc.aio.ServicerContext) -> Any:
        """ModelInfer."""
        failure = response = None
        try:
            message = self._parse(data)
            response = await self._answer(message, context.time_remaining())
        except Exception as error:
            failure = status_of(error)
        # `context` keeps what `abort` raises, and that this frame: a cycle, in which no request must wait for the
        # collector. It counts objects, not bytes, and would let gigabytes gather.
        message = data = b""
        if failure is not None:
            await context.abort(*failure)
        return response

    async def infer_stream(self, messages: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> None:
        """ModelStreamInfer: requests are worked on side by side, so that they share batches, and answered in order."""
        ahead: asyncio.Queue[asyncio.Task[Any] | None] = asyncio.Queue(MAX_AHEAD)

        async def write() -> None:
            while (task := await ahead.get()) is not None:
                await context.write(await task)

        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            async for data in messages:
                await ahead.put(group.create_task(self._answer_streamed(data, context.time_remaining())))
            await ahead.put(None)

    async def _answer_streamed(self, data: bytes, time_remaining_s: float | None) -> Any:
        """An error ends its request, not the stream. Each request has one response, which is its final one."""
        request_id = ""
        try:
            message = self._parse(data)
            request_id = message.id
            response = await self._answer(message, time_remaining_s)
        except Exception as error:
            failed = service_pb2.ModelInferResponse(id=request_id)
            return service_pb2.ModelStreamInferResponse(error_message=status_of(error)[1], infer_response=failed)
        response.parameters["triton_final_response"].bool_param = True
        return service_pb2.ModelStreamInferResponse(infer_response=response)

    def _parse(self, data: bytes) -> Any:
        """Raises BadInput, counted."""
        try:
            return parse_message("ModelInferRequest", data)
        except BadInput as error:
            self._metrics.request_without_model(PROTOCOL, grpc_status(error.kind).name)
            raise

    async def _answer(self, message: Any, time_remaining_s: float | None) -> Any:
        """One request, counted whatever becomes of it."""
        started_at = monotonic()
        CURRENT_REQUEST.set(message.id[:MAX_ID])
        model: Served | None = None
        code = grpc.StatusCode.CANCELLED
        try:
            model = self._host.get(message.model_name, message.model_version or None)
            check_num_tensors(len(message.inputs), len(message.outputs))
            parameters = plain_parameters(message.parameters) if message.parameters else {}
            deadline = self._deadline(parameters, time_remaining_s)
            request, sinks = parse_request(message, parameters, deadline, self._regions)
            computed = await infer(model, request)
            encoding_since = monotonic()
            response = build_response(computed, sinks, self._regions)
            note_encoding(model, request, encoding_since)
            code = grpc.StatusCode.OK
        except TidegateError as error:
            code = grpc_status(error.kind)
            raise
        except Exception:
            code = grpc.StatusCode.INTERNAL
            raise
        finally:
            if model is None:
                self._metrics.request_without_model(PROTOCOL, code.name)
            else:
                model.statistics.request(PROTOCOL, code.name, monotonic() - started_at)
        return response

    def _deadline(self, parameters: Mapping[str, Any], time_remaining_s: float | None) -> Deadline:
        """The call's own deadline, the `timeout` parameter, the server's default: whichever is first."""
        deadline = deadline_of(parameters, Arrival(monotonic(), self._config.request_timeout_s))
        if time_remaining_s is None or time_remaining_s == math.inf:
            return deadline
        return min(deadline, Deadline.after(max(0.0, time_remaining_s)))
