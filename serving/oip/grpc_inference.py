"""ModelInfer: one request, one response, counted whatever becomes of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import grpc

from serving.config import ServerConfig
from serving.deadline import Arrival, Deadline
from serving.logs import CURRENT_REQUEST
from serving.metrics import Metrics
from serving.model_host import ModelHost
from serving.model_kinds import default_timeout_s
from serving.oip.grpc_message import PROTOCOL, parse_message, status_of
from serving.oip.infer_request import InferRequest, check_num_tensors
from serving.oip.inference import infer, note_encoding
from serving.oip.parameters import deadline_of
from serving.oip.protobuf import Sinks, build_response, parse_request, plain_parameters
from serving.oip.shared_memory import SharedMemoryRegions
from serving.served import Served
from serving.status import grpc_status
from tasks.errors import BadInput, TidegateError

MAX_ID = 128
"""Characters of a request's id that go into the log."""


@dataclass(frozen=True, slots=True)
class Read:
    """A message whose model is known and whose inputs add up. `sinks`: where its outputs go."""

    model: Served
    request: InferRequest
    sinks: Sinks
    parameters: Mapping[str, Any]


class InferenceCalls:
    """gRPC cancels the running call when its client leaves."""

    def __init__(self, host: ModelHost, config: ServerConfig, metrics: Metrics, regions: SharedMemoryRegions) -> None:
        self._host, self._config, self._metrics, self._regions = host, config, metrics, regions

    async def infer(self, data: bytes, context: grpc.aio.ServicerContext) -> Any:
        """ModelInfer."""
        failure = response = None
        try:
            message = self.parse(data)
            response = await self.answer(message, context.time_remaining())
        except Exception as error:
            failure = status_of(error)
        # `context` keeps what `abort` raises, and that this frame: a cycle, in which no request must wait for the
        # collector. It counts objects, not bytes, and would let gigabytes gather.
        message = data = b""
        if failure is not None:
            await context.abort(*failure)
        return response

    def parse(self, data: bytes) -> Any:
        """Raises BadInput, counted."""
        try:
            return parse_message("ModelInferRequest", data)
        except BadInput as error:
            self.count_refused(error)
            raise

    def count_refused(self, error: TidegateError) -> None:
        """A request that was refused before anybody looked which model it is for."""
        self._metrics.request_without_model(PROTOCOL, grpc_status(error.kind).name)

    async def answer(self, message: Any, time_remaining_s: float | None) -> Any:
        """One request → one response. Raises TidegateError."""
        with self.counted(message):
            read = self.read(message, time_remaining_s)
            computed = await infer(read.model, read.request)
            encoding_since = monotonic()
            response = build_response(computed, read.sinks, self._regions)
            note_encoding(read.model, read.request, encoding_since)
        return response

    def read(self, message: Any, time_remaining_s: float | None) -> Read:
        """Raises NotFound or NotReady for the model, BadInput for what does not add up."""
        model = self._host.get(message.model_name, message.model_version or None)
        check_num_tensors(len(message.inputs), len(message.outputs))
        parameters = plain_parameters(message.parameters) if message.parameters else {}
        deadline = self._deadline(model, parameters, time_remaining_s)
        request, sinks = parse_request(message, parameters, deadline, self._regions)
        return Read(model, request, sinks, parameters)

    @contextmanager
    def counted(self, message: Any) -> Iterator[None]:
        """What is done inside is one request, by the status that it ends with."""
        started_at, code = monotonic(), grpc.StatusCode.CANCELLED
        CURRENT_REQUEST.set(message.id[:MAX_ID])
        try:
            yield
            code = grpc.StatusCode.OK
        except TidegateError as error:
            code = grpc_status(error.kind)
            raise
        except Exception:
            code = grpc.StatusCode.INTERNAL
            raise
        finally:
            self._count(message, code, monotonic() - started_at)

    def _count(self, message: Any, code: grpc.StatusCode, seconds: float) -> None:
        try:
            model = self._host.get(message.model_name, message.model_version or None)
        except TidegateError:
            self._metrics.request_without_model(PROTOCOL, code.name)
        else:
            model.statistics.request(PROTOCOL, code.name, seconds)

    def _deadline(self, model: Served, parameters: Mapping[str, Any], time_remaining_s: float | None) -> Deadline:
        """The call's own deadline, the `timeout` parameter, the server's default: whichever is first."""
        deadline = deadline_of(parameters, Arrival(monotonic(), default_timeout_s(model, self._config)))
        if time_remaining_s is None or time_remaining_s == math.inf:
            return deadline
        return min(deadline, Deadline.after(max(0.0, time_remaining_s)))
