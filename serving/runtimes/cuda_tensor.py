"""A tensor in the memory of the GPU that stays there between runs."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from serving.runtimes.cuda import DeviceMemory, call, runtime_api
from serving.runtimes.onnx_runtime import NUMPY_TYPES
from tasks.task import Array, TensorSpec


class CudaTensor:
    """See DeviceTensor. Holds on to the memory that its rows lie in."""

    def __init__(self, spec: TensorSpec, memory: DeviceMemory, start_byte: int = 0) -> None:
        self._spec, self._memory, self._start_byte = spec, memory, start_byte
        self.dtype = np.dtype(NUMPY_TYPES[spec.dtype])
        self.num_bytes = math.prod(spec.shape) * self.dtype.itemsize

    @property
    def spec(self) -> TensorSpec:
        return self._spec

    @property
    def address(self) -> int:
        return self._memory.address + self._start_byte

    def to_numpy(self) -> Array:
        array = np.empty(self._spec.shape, self.dtype)
        kind = runtime_api().cudaMemcpyKind.cudaMemcpyDeviceToHost
        if self.num_bytes:
            call("cudaMemcpy", array.ctypes.data, self.address, self.num_bytes, kind)
        return array

    def rows(self, start: int, stop: int) -> CudaTensor:
        num_rows, *row = self._spec.shape
        if not 0 <= start < stop <= num_rows:
            raise ValueError(f"rows {start} to {stop} of {self._spec.name!r}, which has {num_rows}")
        spec = msgspec.structs.replace(self._spec, shape=(stop - start, *row))
        return CudaTensor(spec, self._memory, self._start_byte + start * math.prod(row) * self.dtype.itemsize)

    def overlaps(self, other: CudaTensor) -> bool:
        """Whether a byte belongs to both."""
        return self.address < other.address + other.num_bytes and other.address < self.address + self.num_bytes


def allocate_tensor(spec: TensorSpec) -> CudaTensor:
    """Filled with zeros. Raises NotReady where the GPU has no room."""
    tensor_bytes = math.prod(spec.shape) * np.dtype(NUMPY_TYPES[spec.dtype]).itemsize
    memory = DeviceMemory(tensor_bytes)
    memory.clear()
    return CudaTensor(spec, memory)
