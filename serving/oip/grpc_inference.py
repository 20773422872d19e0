"""ModelInfer: one request, one response, counted whatever becomes of it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from time import monotonic
from typing import Any, TypeVar

import grpc

from serving.access.credential import headers_of
from serving.challenger.canary import Canary
from serving.config import ServerConfig
from serving.deadline import Arrival, Deadline
from serving.http_body import Headers
from serving.logs import CURRENT_REQUEST, UNTOLD_REQUEST
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
from serving.tracing.tracing import NO_TRACING, Tracing
from tasks.errors import BadInput, TidegateError

Result = TypeVar("Result")
MAX_ID = 128
"""Characters of a request's id that go into the log."""


@dataclass(frozen=True, slots=True)
class Read:
    """A message whose inputs add up. `sinks`: where its outputs go."""

    request: InferRequest
    sinks: Sinks
    parameters: Mapping[str, Any]


@dataclass
class Call:
    """One request to a model. `name`: its id, or one of ours, which its caller is never told. `model`: whom it is for,
    and once it was asked, who answered."""

    name: str
    model: Served | None = None
    canary: Canary | None = None

    async def ask(self, ask: Callable[[Served], Coroutine[Any, Any, Result]]) -> tuple[Served, Result]:
        """Who answered, and what. Raises what that raises."""
        assert self.model is not None
        if self.canary is None:
            return self.model, await ask(self.model)
        try:
            answer = await self.canary.ask(ask)
        finally:
            self.model = self.canary.model
        return self.model, answer


class InferenceCalls:
    """gRPC cancels the running call when its client leaves."""

    def __init__(
        self,
        host: ModelHost,
        config: ServerConfig,
        metrics: Metrics,
        regions: SharedMemoryRegions,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self._host, self._config, self._metrics, self._regions = host, config, metrics, regions
        self._tracing = tracing
        self._id_prefix, self._numbers = os.urandom(4).hex(), count(1)

    async def infer(self, data: bytes, context: grpc.aio.ServicerContext) -> Any:
        """ModelInfer."""
        failure = response = None
        try:
            message = self.parse(data)
            headers = headers_of(context.invocation_metadata() or ()) if self._tracing.is_on else {}
            response = await self.answer(message, context.time_remaining(), headers)
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

    async def answer(self, message: Any, time_remaining_s: float | None, headers: Headers) -> Any:
        """One request → one response. `headers`: of its call, for who follows it. Raises TidegateError."""
        with self.counted(message, headers) as call:
            read = self.read(message, time_remaining_s, call)
            model, computed = await call.ask(partial(infer, request=read.request))
            encoding_since = monotonic()
            response = build_response(computed, read.sinks, self._regions)
            note_encoding(model, read.request, encoding_since)
        return response

    def read(self, message: Any, time_remaining_s: float | None, call: Call) -> Read:
        """Notes in `call` whom it is for. Raises NotFound or NotReady for the model, BadInput for what does not add
        up."""
        version = message.model_version or None
        call.model = model = self._host.get(message.model_name, version)
        call.canary = self._host.challengers.canary(model, version, call.name.encode())
        check_num_tensors(len(message.inputs), len(message.outputs))
        parameters = plain_parameters(message.parameters) if message.parameters else {}
        deadline = self._deadline(model, parameters, time_remaining_s)
        request, sinks = parse_request(message, parameters, deadline, self._regions)
        return Read(request, sinks, parameters)

    @contextmanager
    def counted(self, message: Any, headers: Headers) -> Iterator[Call]:
        """What is done inside is one request, by the status that it ends with."""
        started_at, code, request_id = monotonic(), grpc.StatusCode.CANCELLED, message.id[:MAX_ID]
        call = Call(request_id or f"{self._id_prefix}-{next(self._numbers)}")
        # Empty where none was sent: feedback can name no other, and nothing is remembered that no one can ask for.
        CURRENT_REQUEST.set(request_id)
        UNTOLD_REQUEST.set(call.name)
        trace = self._tracing.begin("ModelInfer", headers, started_at)
        try:
            yield call
            code = grpc.StatusCode.OK
        except TidegateError as error:
            code = grpc_status(error.kind)
            raise
        except Exception:
            code = grpc.StatusCode.INTERNAL
            raise
        finally:
            ended_at, trace_id = monotonic(), "" if trace is None else trace.trace_id
            if call.model is None:
                self._metrics.request_without_model(PROTOCOL, code.name)
            else:
                call.model.statistics.request(PROTOCOL, code.name, ended_at - started_at, trace_id)
            if trace is not None:
                self._tracing.end(trace.about(call.model, call.name, code.name), ended_at)

    def _deadline(self, model: Served, parameters: Mapping[str, Any], time_remaining_s: float | None) -> Deadline:
        """The call's own deadline, the `timeout` parameter, the server's default: whichever is first."""
        deadline = deadline_of(parameters, Arrival(monotonic(), default_timeout_s(model, self._config)))
        if time_remaining_s is None or time_remaining_s == math.inf:
            return deadline
        return min(deadline, Deadline.after(max(0.0, time_remaining_s)))
