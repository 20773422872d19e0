"""ModelStreamInfer: many requests in one call. Models that generate answer each by many responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, NamedTuple

import grpc
import numpy as np
from tritonclient.grpc import service_pb2

from serving.access.access import Access
from serving.access.credential import headers_of
from serving.generation.request import Delta
from serving.grpc_disconnects import as_cancelled
from serving.http_body import Headers
from serving.model_host import ModelHost
from serving.oip.grpc_inference import Call, InferenceCalls, Read
from serving.oip.grpc_message import status_of
from serving.oip.infer_request import InferRequest, InferResponse, wanted_names
from serving.oip.parameters import flag
from serving.oip.prompted_inference import output_specs, payloads_of, put
from serving.oip.protobuf import build_response
from serving.oip.shared_memory import SharedMemoryRegions
from serving.prompted import Prompted
from serving.served import Served
from serving.served_model import ServedModel
from tasks.errors import BadInput, TidegateError

MAX_AHEAD = 64
"""Requests of one stream that are worked on at once."""
FINAL = "triton_final_response"
EMPTY_FINAL = "triton_enable_empty_final_response"


class Unanswerable(NamedTuple):
    """A request of a stream that gets no further than its error."""

    request_id: str
    error: TidegateError


class InferenceStreams:
    """One for all streams of a server."""

    def __init__(self, calls: InferenceCalls, host: ModelHost, regions: SharedMemoryRegions, access: Access) -> None:
        self._calls, self._host, self._regions, self._access = calls, host, regions, access

    async def answer(self, messages: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> None:
        """Requests are worked on side by side, so that they share batches, and answered in order; the pieces of what is
        generated go out as they come, between all others. An error ends its request, not the stream."""
        in_order: asyncio.Queue[asyncio.Task[Any] | None] = asyncio.Queue(MAX_AHEAD)
        writer = Writer(context)
        room = asyncio.Semaphore(MAX_AHEAD)
        headers = headers_of(context.invocation_metadata() or ())

        async def write_in_order() -> None:
            while (task := await in_order.get()) is not None:
                await writer.write(await task)

        async def generate(message: Any) -> None:
            try:
                await self._generate(message, context.time_remaining(), headers, writer)
            finally:
                room.release()

        async with asyncio.TaskGroup() as group:
            group.create_task(write_in_order())
            async for data in messages:
                message = self._read(data, headers)
                if self._generates(message):
                    await room.acquire()
                    group.create_task(generate(message))
                else:
                    one = self._answer_one(message, context.time_remaining(), headers)
                    await in_order.put(group.create_task(one))
            await in_order.put(None)

    def _read(self, data: bytes, headers: Headers) -> Any:
        """A message, or why it gets no answer. Each counts as a request of its caller, whose key may have gone."""
        try:
            message = self._calls.parse(data)
        except BadInput as error:
            return Unanswerable("", error)
        try:
            self._access.admit(headers)
        except TidegateError as error:
            self._calls.count_refused(error)
            return Unanswerable(message.id, error)
        return message

    def _generates(self, message: Any) -> bool:
        if isinstance(message, Unanswerable):
            return False
        try:
            model = self._host.get(message.model_name, message.model_version or None)
        except TidegateError:
            return False
        return not isinstance(model, ServedModel)

    async def _answer_one(self, message: Any, time_remaining_s: float | None, headers: Headers) -> Any:
        """The one response to a request, which is its final one."""
        if isinstance(message, Unanswerable):
            return failed(message.request_id, message.error)
        try:
            response = await self._calls.answer(message, time_remaining_s, headers)
        except Exception as error:
            return failed(message.id, error)
        return streamed(response, is_final=True)

    async def _generate(self, message: Any, time_remaining_s: float | None, headers: Headers, writer: Writer) -> None:
        """All responses to a request: the text as it comes. The last one says so, or an empty one after it does."""
        try:
            with self._calls.counted(message, headers) as call:
                read = self._calls.read(message, time_remaining_s, call)
                ends_empty = flag(read.parameters, EMPTY_FINAL)
                model = await self._write_pieces(read, call, writer, ends_empty)
        except Exception as error:
            await writer.write(failed(message.id, error))
            return
        if ends_empty:
            empty = InferResponse(model.name, model.version, message.id, {})
            await writer.write(streamed(build_response(empty, {}, self._regions), is_final=True))

    async def _write_pieces(self, read: Read, call: Call, writer: Writer, ends_empty: bool) -> Served:
        """Returns who answered."""
        request = read.request
        model, (name, prompted) = await call.ask(partial(put_alone, request=request))
        num_running = prompted.params.n
        try:
            async for delta in prompted:
                num_running -= delta.finished is not None
                if delta.text or delta.finished:
                    text = np.array([delta.text.encode()], object)
                    piece = InferResponse(model.name, model.version, request.id, {name: text})
                    response = build_response(piece, read.sinks, self._regions)
                    describe_piece(response, delta, prompted.params.n)
                    await writer.write(streamed(response, is_final=not num_running and not ends_empty))
        finally:
            prompted.cancel()
        return model


async def put_alone(model: Served, request: InferRequest) -> tuple[str, Prompted]:
    """The one prompt of a request is being answered from here on; first the name of the output that gets its text."""
    payloads = payloads_of(model, request)
    if len(payloads) != 1:
        raise BadInput(f"a streamed request holds one prompt, and {len(payloads)} were sent: send each by itself")
    (name,) = wanted_names(request.outputs, [output_specs(model)[0].name], "a stream of text")
    return name, await put(model, payloads[0], request)


class Writer:
    """gRPC takes one message at a time."""

    def __init__(self, context: grpc.aio.ServicerContext) -> None:
        self._context, self._turn = context, asyncio.Lock()

    async def write(self, response: Any) -> None:
        """Waits for a client that reads slowly."""
        async with self._turn:
            with as_cancelled():
                await self._context.write(response)


def describe_piece(response: Any, delta: Delta, num_choices: int) -> None:
    """Which answer it belongs to, where there are several, and how that ended."""
    if num_choices > 1:
        response.parameters["choice"].int64_param = delta.choice
    if delta.finished:
        response.parameters["finish_reason"].string_param = delta.finished.finish_reason


def streamed(response: Any, *, is_final: bool) -> Any:
    response.parameters[FINAL].bool_param = is_final
    return service_pb2.ModelStreamInferResponse(infer_response=response)


def failed(request_id: str, error: Exception) -> Any:
    about = service_pb2.ModelInferResponse(id=request_id)
    return service_pb2.ModelStreamInferResponse(error_message=status_of(error)[1], infer_response=about)
