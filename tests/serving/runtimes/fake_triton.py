"""A Triton in this process: the real protocol over a real port, a function for a model, and faults on demand."""

from __future__ import annotations

import math
import mmap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import monotonic
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from serving.runtimes.triton_origin import Origin, encode_origin, parameter_of

MODEL = "doubles"
FOLDER = "/dev/shm"


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """`doubles`: `x` FP32 [batch, 2] → `y`, twice of it, and `z`, minus it. `gate`: closed, requests wait for it;
    `desk`: questions do."""

    def __init__(self, **origins: Origin) -> None:
        """`origins`: v1=Origin(…): the versions it has loaded."""
        self.origins = {name.removeprefix("v"): origin for name, origin in origins.items()}
        self.gate, self.desk = threading.Event(), threading.Event()
        self.gate.set()
        self.desk.set()
        self.num_waiting, self.most_waiting = 0, 0
        self.seen: list[Any] = []
        self.peers: set[str] = set()
        self.traces: list[str] = []
        """What requests said of the trace that they are part of, "" where they said nothing."""
        self.withheld = ""
        self.regions: dict[str, mmap.mmap] = {}
        self.num_unregistered = 0
        self.refusal: tuple[grpc.StatusCode, str] | None = None

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        while not self.desk.wait(0.01) and context.is_active():
            pass
        if request.name != MODEL:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{request.name}' is not found")
        answer = service_pb2.ModelMetadataResponse(name=MODEL, versions=list(self.origins))
        answer.inputs.add(name="x", datatype="FP32", shape=[-1, 2])
        for name in ("y", "z"):
            answer.outputs.add(name=name, datatype="FP32", shape=[-1, 2])
        return answer

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelReadyResponse(ready=request.version in self.origins)

    def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        answer = service_pb2.ModelConfigResponse()
        answer.config.parameters["unrelated"].string_value = "x"
        for version, origin in self.origins.items():
            answer.config.parameters[parameter_of(version)].string_value = encode_origin(origin)
        return answer

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.seen.append(request)
        self.peers.add(context.peer())
        self.traces.append(dict(context.invocation_metadata()).get("traceparent", ""))
        self.num_waiting += 1
        self.most_waiting = max(self.most_waiting, self.num_waiting)
        timeout_us = request.parameters["timeout"].int64_param or math.inf
        started_at = monotonic()
        while not self.gate.wait(0.01) and context.is_active() and (monotonic() - started_at) * 1e6 < timeout_us:
            pass
        self.num_waiting -= 1
        if not self.gate.is_set():
            context.abort(grpc.StatusCode.UNAVAILABLE, "Request timeout expired")
        if self.refusal:
            context.abort(*self.refusal)
        x = np.frombuffer(self.bytes_of(request), np.float32).reshape(tuple(request.inputs[0].shape))
        answer = service_pb2.ModelInferResponse(model_name=MODEL, model_version=request.model_version)
        for name in {output.name for output in request.outputs} - {self.withheld}:
            answer.outputs.add(name=name, datatype="FP32", shape=x.shape)
            answer.raw_output_contents.append(({"y": 2, "z": -1}[name] * x).astype(np.float32).tobytes())
        return answer

    def bytes_of(self, request: Any) -> bytes:
        parameters = request.inputs[0].parameters
        if not parameters:
            return bytes(request.raw_input_contents[0])
        size = parameters["shared_memory_byte_size"].int64_param
        name = parameters["shared_memory_region"].string_param
        return self.regions[name][:size]

    def SystemSharedMemoryRegister(self, request: Any, context: Any) -> Any:  # noqa: N802
        try:
            with open(f"{FOLDER}{request.key}", "r+b") as file:
                self.regions[request.name] = mmap.mmap(file.fileno(), request.byte_size)
        except OSError:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Unable to open shared memory region: '{request.key}'")
        return service_pb2.SystemSharedMemoryRegisterResponse()

    def SystemSharedMemoryUnregister(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.num_unregistered += 1
        while not self.desk.wait(0.01) and context.is_active():
            pass
        self.regions.pop(request.name, None)
        return service_pb2.SystemSharedMemoryUnregisterResponse()


@contextmanager
def listening(triton: FakeTriton, port: int = 0) -> Iterator[int]:
    """On a port of this machine, any free one for 0."""
    server = grpc.server(
        ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)]
    )
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(triton, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield bound
    finally:
        server.stop(0).wait()
