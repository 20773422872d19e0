"""One place where an engine runs: a stream, the memory for its tensors, and what was recorded of its usual runs.

A run copies its inputs to pinned memory, and from there the GPU fetches them, computes, and brings the outputs back,
all on one stream. For each batch size that a server uses, these steps were recorded as a CUDA graph when the engine was
opened, so that such a run is one call. Each graph has an execution context of its own, as TensorRT advises: whatever
happens to another context, the recorded one stays as it was. They share the memory for what lies between layers, since
only one of them runs at a time.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from serving.engines.batch_profiles import BatchProfile, Shape
from serving.runtimes.cuda import CudaGraph, DeviceMemory, PinnedMemory, Stream, forget_error
from serving.runtimes.cuda_tensor import CudaTensor
from serving.runtimes.onnx_runtime import NUMPY_TYPES
from serving.runtimes.tensorrt_library import Complaints, tensorrt
from tasks.errors import BadInput, NotReady
from tasks.task import Array, TensorSpec

Shapes = Mapping[str, Shape]
ALIGNMENT = 256
"""Bytes: where TensorRT wants each tensor to begin."""
log = logging.getLogger(__name__)


class Buffer:
    """Room for one tensor of at most this shape: pinned on the host, and on the GPU."""

    def __init__(self, spec: TensorSpec, largest: Shape) -> None:
        self._dtype = np.dtype(NUMPY_TYPES[spec.dtype])
        num_bytes = math.prod(largest) * self._dtype.itemsize
        self.pinned, self.device = PinnedMemory(num_bytes), DeviceMemory(num_bytes)

    def num_bytes(self, shape: Shape) -> int:
        return math.prod(shape) * self._dtype.itemsize

    def put(self, array: Array) -> None:
        self._view(array.shape)[...] = array

    def take(self, shape: Shape) -> Array:
        """A copy: the next run writes over what is here."""
        return self._view(shape).copy()

    def free(self) -> None:
        self.pinned.free()
        self.device.free()

    def _view(self, shape: Shape) -> Array:
        view: Array = self.pinned.bytes[: self.num_bytes(shape)].view(self._dtype).reshape(shape)
        return view


@dataclass(frozen=True)
class Prepared:
    """A context that waits for runs of exactly these shapes. `graph`: None where the engine can not be recorded."""

    context: Any
    inputs: Shapes
    outputs: Shapes
    graph: CudaGraph | None


class EngineSlot:
    """Used by one thread at a time."""

    def __init__(
        self,
        engine: Any,
        complaints: Complaints,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        profiles: Sequence[BatchProfile],
    ) -> None:
        """`profiles`: as the engine was built. Raises NotReady where the GPU has no room, or refuses."""
        self._engine, self._complaints = engine, complaints
        self._outputs = [spec.name for spec in outputs]
        self._stream = Stream()
        self._scratch = DeviceMemory(engine.device_memory_size_v2)
        self._any_shapes = self._new_context(len(profiles) - 1)
        largest = {name: limits.largest for name, limits in profiles[-1].items()}
        extents = {**largest, **self._set_shapes(self._any_shapes, largest)}
        self._buffers = {spec.name: Buffer(spec, extents[spec.name]) for spec in (*inputs, *outputs)}
        self._prepared = {}
        for index, profile in enumerate(profiles):
            prepared = self._prepare(index, {name: limits.usual for name, limits in profile.items()})
            self._prepared[frozenset(prepared.inputs.items())] = prepared

    def run(
        self, arrays: Mapping[str, Array], bound: Mapping[str, CudaTensor], wanted: Collection[str]
    ) -> dict[str, Array]:
        """`arrays`: inputs on the host; `bound`: inputs and outputs that stay on the GPU; `wanted`: the outputs to
        return. Shapes are within the last profile. Raises NotReady where the GPU fails."""
        for name, array in arrays.items():
            self._buffers[name].put(array)
        shapes = {name: array.shape for name, array in arrays.items()}
        prepared = None if bound else self._prepared.get(frozenset(shapes.items()))
        if prepared is None:
            outputs = self._run_any(shapes, bound, wanted)
        else:
            outputs = prepared.outputs
            if prepared.graph is None:
                self._enqueue(prepared.context, shapes, {name: outputs[name] for name in wanted})
            else:
                self._stream.launch(prepared.graph)
        self._stream.synchronize()
        return {name: self._buffers[name].take(outputs[name]) for name in wanted}

    def free(self) -> None:
        """Nothing runs here any more."""
        for prepared in self._prepared.values():
            if prepared.graph is not None:
                prepared.graph.free()
        # Contexts go before the memory and the stream that they know of.
        self._prepared.clear()
        self._any_shapes = None
        for buffer in self._buffers.values():
            buffer.free()
        self._scratch.free()
        self._stream.free()

    def _run_any(self, shapes: Shapes, bound: Mapping[str, CudaTensor], wanted: Iterable[str]) -> Shapes:
        """Begins a run that nothing was prepared for; the shapes of all outputs."""
        context = self._any_shapes
        tensors = {name: tensor.spec.shape for name, tensor in bound.items() if name not in self._outputs}
        outputs = self._set_shapes(context, {**shapes, **tensors})
        for name, tensor in bound.items():
            if name in outputs and tensor.spec.shape != outputs[name]:
                raise BadInput(f"output {name!r} is {list(outputs[name])}, bound to it is {list(tensor.spec.shape)}")
        # Rows in the middle of a tensor may begin anywhere: those pass through memory of this slot.
        moved = {name: tensor for name, tensor in bound.items() if tensor.address % ALIGNMENT}
        self._set_addresses(context, {name: tensor.address for name, tensor in bound.items() if name not in moved})
        for name in moved.keys() & tensors.keys():
            self._stream.copy_on_device(self._buffers[name].device.address, moved[name].address, moved[name].num_bytes)
        self._enqueue(context, shapes, {name: outputs[name] for name in wanted})
        for name in moved.keys() & outputs.keys():
            self._stream.copy_on_device(moved[name].address, self._buffers[name].device.address, moved[name].num_bytes)
        return outputs

    def _prepare(self, profile: int, inputs: Shapes) -> Prepared:
        """A context for these shapes, run once and recorded."""
        context = self._new_context(profile)
        outputs = self._set_shapes(context, inputs)
        self._set_addresses(context, {})
        # TensorRT finishes a change of shapes in the run after it, which therefore can not be recorded.
        self._enqueue(context, inputs, outputs)
        self._stream.synchronize()
        return Prepared(context, inputs, outputs, self._record(context, inputs, outputs))

    def _record(self, context: Any, inputs: Shapes, outputs: Shapes) -> CudaGraph | None:
        """None for an engine with layers that wait for the host, such as loops: it then runs step by step."""
        self._stream.begin_recording()
        try:
            try:
                self._enqueue(context, inputs, outputs)
            finally:
                graph = self._stream.end_recording()
        except NotReady as error:
            forget_error()
            log.warning("an engine runs without a CUDA graph for %s: %s", dict(inputs), error)
            return None
        return graph

    def _enqueue(self, context: Any, inputs: Shapes, outputs: Shapes) -> None:
        """In, through, out, on the stream: of the tensors that are named."""
        for name, shape in inputs.items():
            buffer = self._buffers[name]
            self._stream.copy_to_device(buffer.device.address, buffer.pinned.address, buffer.num_bytes(shape))
        self._complaints.require(context.execute_async_v3(self._stream.handle), "run")
        for name, shape in outputs.items():
            buffer = self._buffers[name]
            self._stream.copy_to_host(buffer.pinned.address, buffer.device.address, buffer.num_bytes(shape))

    def _new_context(self, profile: int) -> Any:
        """On the memory of this slot."""
        on_our_memory = tensorrt().ExecutionContextAllocationStrategy.USER_MANAGED
        context = self._complaints.require(self._engine.create_execution_context(on_our_memory), "make a context")
        context.set_device_memory(self._scratch.address, self._scratch.num_bytes)
        chosen = context.set_optimization_profile_async(profile, self._stream.handle)
        self._complaints.require(chosen, f"use its profile {profile}")
        self._stream.synchronize()
        return context

    def _set_shapes(self, context: Any, inputs: Shapes) -> dict[str, Shape]:
        """The shapes of the outputs for inputs of these. Raises NotReady for one that depends on values."""
        for name, shape in inputs.items():
            self._complaints.require(context.set_input_shape(name, tuple(shape)), f"take {name!r} as {list(shape)}")
        if missing := context.infer_shapes():
            raise NotReady(f"the engine's shapes depend on {', '.join(missing)}; give the graph fixed ones")
        outputs = {name: tuple(context.get_tensor_shape(name)) for name in self._outputs}
        for name, shape in outputs.items():
            if any(extent < 0 for extent in shape):
                raise NotReady(f"the shape of output {name!r} depends on values: {list(shape)}; give it a fixed one")
        return outputs

    def _set_addresses(self, context: Any, bound: Mapping[str, int]) -> None:
        for name, buffer in self._buffers.items():
            address = bound.get(name, buffer.device.address)
            self._complaints.require(context.set_tensor_address(name, address), f"use memory for {name!r}")
