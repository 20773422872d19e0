"""Triton's gRPC service as the runtime needs it: a few connections, and its errors in our own words.

Addresses stay out of the messages: they reach callers of the prediction port."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from serving.tracing.trace import CURRENT_TRACE
from serving.tracing.trace_parent import HEADER as TRACE_PARENT
from tasks.errors import DeadlineExceeded, NotReady, Overloaded, TidegateError
from tasks.task import TensorSpec

CALLS_PER_CHANNEL = 8
"""Messages of one connection go one after the other: large ones would wait for each other on a single one."""
PATIENCE_S = 30.0
"""How long after its deadline an answer may come before the call is given up. Before 25.04 Triton may crash when a call
is given up in the moment of its answer (issues 7368 and 8034 of its server), so a call is not given up at its deadline:
Triton drops what waits too long, and who waited here has been told in time."""
LOOK_TIMEOUT_S = 5.0
"""For questions that cost the other side nothing."""
OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # A peer that vanished without a word is noticed while calls wait for it. Triton takes offence at pings of an idle
    # connection, so there are none.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 0),
    # Channels to one address would otherwise share a connection.
    ("grpc.use_local_subchannel_pool", 1),
    # A server that was restarted is found again within seconds.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)
log = logging.getLogger(__name__)


class TritonClient:
    """Any thread may call. Every method raises NotReady where Triton does not answer as it should."""

    def __init__(self, url: str, num_calls: int) -> None:
        """`url`: HOST:PORT of its gRPC. `num_calls`: that will be made at once. Connects when it is used."""
        self.url = url
        self._channels = [
            grpc.insecure_channel(url, options=OPTIONS) for _ in range(math.ceil(num_calls / CALLS_PER_CHANNEL))
        ]
        stubs = [service_pb2_grpc.GRPCInferenceServiceStub(channel) for channel in self._channels]
        self._stub, self._stubs = stubs[0], itertools.cycle(stubs)

    def versions(self, model: str) -> list[str]:
        """Those that Triton has loaded."""
        return list(self._metadata(model, "").versions)

    def is_ready(self, model: str, version: str) -> bool:
        request = service_pb2.ModelReadyRequest(name=model, version=version)
        with prompt_errors():
            return bool(self._stub.ModelReady(request, timeout=LOOK_TIMEOUT_S).ready)

    def tensors(self, model: str, version: str) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """Inputs and outputs, −1 for the batch axis."""
        metadata = self._metadata(model, version)
        return tuple(map(tensor_spec, metadata.inputs)), tuple(map(tensor_spec, metadata.outputs))

    def parameters(self, model: str) -> dict[str, str]:
        """Those of its configuration."""
        request = service_pb2.ModelConfigRequest(name=model)
        with prompt_errors():
            config = self._stub.ModelConfig(request, timeout=LOOK_TIMEOUT_S).config
        return {name: parameter.string_value for name, parameter in config.parameters.items()}

    def infer(self, request: Any, expires_at: float) -> Any:
        """ModelInferRequest → ModelInferResponse. Triton does not begin with what has waited there until `expires_at`
        (of `time.monotonic`; infinity = never), if its configuration lets requests say so, as an export writes it.

        Raises DeadlineExceeded or Overloaded, too."""
        abandoned_after_s = None
        if expires_at < math.inf:
            left_s = expires_at - monotonic()
            if left_s <= 0:
                raise DeadlineExceeded("the deadline passed before the request was sent to Triton")
            request.parameters["timeout"].int64_param = math.ceil(left_s * 1e6)
            abandoned_after_s = left_s + PATIENCE_S
        trace = CURRENT_TRACE.get()
        metadata = None if trace is None else ((TRACE_PARENT.decode(), trace.handed_on),)
        with our_errors():
            return next(self._stubs).ModelInfer(request, timeout=abandoned_after_s, metadata=metadata)

    def register_memory(self, name: str, key: str, num_bytes: int) -> None:
        """Let Triton open shared memory of this machine."""
        request = service_pb2.SystemSharedMemoryRegisterRequest(name=name, key=key, offset=0, byte_size=num_bytes)
        with prompt_errors():
            self._stub.SystemSharedMemoryRegister(request, timeout=LOOK_TIMEOUT_S)

    def unregister_memory(self, name: str) -> None:
        request = service_pb2.SystemSharedMemoryUnregisterRequest(name=name)
        with prompt_errors():
            self._stub.SystemSharedMemoryUnregister(request, timeout=LOOK_TIMEOUT_S)

    def close(self) -> None:
        """Calls that are under way fail."""
        for channel in self._channels:
            channel.close()

    def _metadata(self, model: str, version: str) -> Any:
        with prompt_errors():
            return self._stub.ModelMetadata(
                service_pb2.ModelMetadataRequest(name=model, version=version), timeout=LOOK_TIMEOUT_S
            )


def tensor_spec(tensor: Any) -> TensorSpec:
    return TensorSpec(name=tensor.name, dtype=tensor.datatype, shape=tuple(tensor.shape))


@contextmanager
def our_errors() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        raise translated(error.code(), error.details() or "") from error
    except ValueError as error:  # the channel was closed
        raise NotReady("the connection to Triton is being closed") from error


class SlowTriton(NotReady):
    """It took longer over a question that costs nothing than one that is there should."""


@contextmanager
def prompt_errors() -> Iterator[None]:
    """Of a question that costs nothing. Raises SlowTriton."""
    try:
        with our_errors():
            yield
    except DeadlineExceeded as error:
        raise SlowTriton("Triton does not answer") from error


def translated(code: grpc.StatusCode, details: str) -> TidegateError:
    """What a failed call means to whoever waits for a prediction."""
    if code == grpc.StatusCode.DEADLINE_EXCEEDED or "timeout expired" in details:
        return DeadlineExceeded("the deadline passed before Triton had answered")
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED or "maximum queue size" in details:
        return Overloaded("the queue of Triton is full; come back later")
    if code == grpc.StatusCode.UNAVAILABLE and "Request for unknown model" not in details:
        log.debug("Triton: %s", details)
        return NotReady("Triton does not answer")
    if code == grpc.StatusCode.CANCELLED:
        return NotReady("the call to Triton was given up")
    return NotReady(f"Triton refused: {details}")
