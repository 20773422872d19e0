"""CUDA as far as engines need it: memory, streams and graphs, each call checked."""

from __future__ import annotations

import ctypes
import functools
import weakref
from types import ModuleType
from typing import Any

import numpy as np

from tasks.errors import NotReady
from tasks.task import Array

DEVICE = 0
"""The first that this process may see; CUDA_VISIBLE_DEVICES says which one that is."""


@functools.cache
def runtime_api() -> ModuleType:
    """NVIDIA's bindings of the CUDA runtime. Raises NotReady where they are not installed."""
    try:
        from cuda.bindings import runtime
    except ImportError as error:
        raise NotReady(f"cuda-bindings can not be loaded ({error}): run pip install 'tidegate[tensorrt]'") from error
    found: ModuleType = runtime
    return found


def call(name: str, *arguments: Any) -> Any:
    """A function of the CUDA runtime → the value that it returns beside its status. Raises NotReady."""
    api = runtime_api()
    status, *values = getattr(api, name)(*arguments)
    if status != api.cudaError_t.cudaSuccess:
        _, reason = api.cudaGetErrorString(status)
        raise NotReady(f"{name} failed: {reason.decode()} ({status.name})")
    return values[0] if values else None


class Memory:
    """Bytes that CUDA allocated. Freed by `free`, or with the last reference."""

    def __init__(self, num_bytes: int, allocate: str, release: str) -> None:
        self.num_bytes = max(num_bytes, 1)
        self.address = int(call(allocate, self.num_bytes))
        self._finalizer = weakref.finalize(self, call, release, self.address)
        # When the interpreter ends the driver may have gone already, and takes the memory with it.
        self._finalizer.atexit = False

    def free(self) -> None:
        self._finalizer()


class DeviceMemory(Memory):
    """On the GPU, for whatever fits into it."""

    def __init__(self, num_bytes: int) -> None:
        super().__init__(num_bytes, "cudaMalloc", "cudaFree")

    def clear(self) -> None:
        """All zeros, seen by every stream."""
        call("cudaMemset", self.address, 0, self.num_bytes)
        call("cudaDeviceSynchronize")


class PinnedMemory(Memory):
    """On the host, where the GPU reads and writes it without the help of the processor."""

    def __init__(self, num_bytes: int) -> None:
        super().__init__(num_bytes, "cudaMallocHost", "cudaFreeHost")
        self.bytes: Array = np.ctypeslib.as_array((ctypes.c_ubyte * self.num_bytes).from_address(self.address))


class CudaGraph:
    """What was recorded of a stream, to be run again as one piece."""

    def __init__(self, executable: Any) -> None:
        self.executable = executable
        self._finalizer = weakref.finalize(self, call, "cudaGraphExecDestroy", executable)
        self._finalizer.atexit = False

    def free(self) -> None:
        self._finalizer()


class Stream:
    """Work in order. Blocks nobody else's."""

    def __init__(self) -> None:
        self._stream = call("cudaStreamCreateWithFlags", runtime_api().cudaStreamNonBlocking)
        self.handle = int(self._stream)
        self._finalizer = weakref.finalize(self, call, "cudaStreamDestroy", self._stream)
        self._finalizer.atexit = False

    def copy_to_device(self, target: int, source: int, num_bytes: int) -> None:
        self._copy(target, source, num_bytes, runtime_api().cudaMemcpyKind.cudaMemcpyHostToDevice)

    def copy_to_host(self, target: int, source: int, num_bytes: int) -> None:
        self._copy(target, source, num_bytes, runtime_api().cudaMemcpyKind.cudaMemcpyDeviceToHost)

    def copy_on_device(self, target: int, source: int, num_bytes: int) -> None:
        self._copy(target, source, num_bytes, runtime_api().cudaMemcpyKind.cudaMemcpyDeviceToDevice)

    def _copy(self, target: int, source: int, num_bytes: int, kind: Any) -> None:
        if num_bytes:
            call("cudaMemcpyAsync", target, source, num_bytes, kind, self._stream)

    def synchronize(self) -> None:
        call("cudaStreamSynchronize", self._stream)

    def begin_recording(self) -> None:
        """From here on nothing is done, everything is written down. Other threads may use CUDA meanwhile."""
        mode = runtime_api().cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        call("cudaStreamBeginCapture", self._stream, mode)

    def end_recording(self) -> CudaGraph:
        """Raises NotReady where something can not be recorded."""
        recorded = call("cudaStreamEndCapture", self._stream)
        try:
            return CudaGraph(call("cudaGraphInstantiate", recorded, 0))
        finally:
            call("cudaGraphDestroy", recorded)

    def launch(self, graph: CudaGraph) -> None:
        call("cudaGraphLaunch", graph.executable, self._stream)

    def free(self) -> None:
        self._finalizer()


def forget_error() -> None:
    """CUDA remembers the last error of a thread until somebody looks, and TensorRT would take it for its own."""
    runtime_api().cudaGetLastError()


def device_attribute(name: str) -> int:
    return int(call("cudaDeviceGetAttribute", getattr(runtime_api().cudaDeviceAttr, name), DEVICE))


def device_name() -> str:
    """Like "NVIDIA H100 80GB HBM3"."""
    name: bytes = call("cudaGetDeviceProperties", DEVICE).name
    return name.decode().rstrip("\0")
