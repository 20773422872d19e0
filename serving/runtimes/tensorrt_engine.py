"""TensorRT: an engine that was built for this GPU, in memory and ready to run.

Written against the Python interface of TensorRT 10.13 to 11.4.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from registry.manifest import Graph
from serving.engines.batch_profiles import BatchProfile, is_within
from serving.runtimes.cuda_tensor import CudaTensor, allocate_tensor
from serving.runtimes.engine_slot import EngineSlot
from serving.runtimes.runtime import DeviceTensor
from serving.runtimes.tensor_check import check_inputs, check_outputs, fits
from serving.runtimes.tensorrt_library import Complaints, tensorrt
from tasks.errors import BadInput, NotReady, Unsupported
from tasks.task import Array, TensorSpec

DATATYPES: Mapping[str, str] = {
    "FLOAT": "FP32",
    "HALF": "FP16",
    "INT8": "INT8",
    "INT32": "INT32",
    "INT64": "INT64",
    "UINT8": "UINT8",
    "BOOL": "BOOL",
}
"""TensorRT's names → those of a manifest."""


class EngineBinding:
    """See Binding."""

    def __init__(self, engine: TensorRtEngine, tensors: Mapping[str, CudaTensor]) -> None:
        self._engine, self._tensors = engine, tensors
        self._returned = [spec.name for spec in engine.outputs if spec.name not in tensors]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return self._engine.run_bound(inputs, self._tensors, self._returned)


class TensorRtEngine:
    """One engine with `slots` streams. `run` may be called from as many threads at once."""

    def __init__(self, plan: bytes, graph: Graph, profiles: Sequence[BatchProfile], slots: int = 1) -> None:
        """`graph`: what the manifest promises of it; `profiles`: what it was built for. Raises NotReady for an engine
        that is of another kind of GPU, of another release of TensorRT, or not of this graph."""
        self._graph, self._profiles, self._num_slots = graph, tuple(profiles), slots
        self._complaints = Complaints()
        # The engine needs both of these for as long as it lives.
        self._runtime = self._complaints.create(tensorrt().Runtime, self._complaints.logger)
        self._engine = self._complaints.require(self._runtime.deserialize_cuda_engine(plan), "load the engine")
        check_tensors(self._engine, graph)
        check_profiles(self._engine, self._profiles)
        self._closing = threading.Lock()
        self._closed = False
        self._idle: queue.SimpleQueue[EngineSlot | None] = queue.SimpleQueue()
        for _ in range(slots):
            self._idle.put(EngineSlot(self._engine, self._complaints, graph.inputs, graph.outputs, self._profiles))

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._graph.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._graph.outputs

    @property
    def slots(self) -> int:
        return self._num_slots

    @property
    def on_cpu(self) -> bool:
        return False

    def allocate(self, spec: TensorSpec) -> CudaTensor:
        return allocate_tensor(spec)

    def run(
        self,
        inputs: Mapping[str, Array | DeviceTensor],
        outputs: Sequence[str] | Mapping[str, DeviceTensor] | None = None,
    ) -> dict[str, Array]:
        on_device = {name: value for name, value in inputs.items() if isinstance(value, CudaTensor)}
        arrays = {name: np.asarray(value) for name, value in inputs.items() if name not in on_device}
        targets = outputs if isinstance(outputs, Mapping) else {}
        if on_device or targets:
            returned = self.bind(on_device, targets).run(arrays)
            return returned if outputs is None or outputs is targets else {name: returned[name] for name in outputs}
        wanted = [spec.name for spec in self.outputs] if outputs is None else list(outputs)
        return self.run_bound(arrays, {}, wanted)

    def bind(self, inputs: Mapping[str, DeviceTensor], outputs: Mapping[str, DeviceTensor]) -> EngineBinding:
        """Raises Unsupported for an output over the memory of an input: TensorRT may still be reading it."""
        check_outputs(self.outputs, outputs)
        bound = {name: value for name, value in {**inputs, **outputs}.items() if isinstance(value, CudaTensor)}
        if len(bound) < len(inputs) + len(outputs):
            raise TypeError("only tensors that this kind of runtime allocated can be bound to it")
        for source in inputs:
            if target := next((name for name in outputs if bound[name].overlaps(bound[source])), ""):
                raise Unsupported(f"output {target!r} over input {source!r}: an engine may still be reading it")
        return EngineBinding(self, bound)

    def run_bound(
        self, arrays: Mapping[str, Array], bound: Mapping[str, CudaTensor], wanted: Collection[str]
    ) -> dict[str, Array]:
        """`bound`: inputs and outputs that stay where they are; `wanted`: the outputs to return."""
        unbound = [spec for spec in self.inputs if spec.name not in bound]
        check_inputs(unbound, arrays)
        check_outputs(self.outputs, wanted)
        shapes = {
            spec.name: bound[spec.name].spec.shape if spec.name in bound else arrays[spec.name].shape
            for spec in self.inputs
        }
        if not is_within(shapes, self._profiles[-1]):
            limits = ", ".join(f"{name} {list(each.largest)}" for name, each in self._profiles[-1].items())
            raise BadInput(f"the engine was built for up to {limits}, and got {shapes}")
        slot = self._take_slot()
        try:
            return slot.run(arrays, bound, wanted)
        finally:
            self._put_back(slot)

    def close(self) -> None:
        """What runs finishes; whatever else is left is freed now."""
        with self._closing:
            self._closed = True
            while not self._idle.empty():
                slot = self._idle.get()
                if slot is not None:
                    slot.free()
            self._idle.put(None)  # for whoever waits, or comes later

    def _take_slot(self) -> EngineSlot:
        slot = self._idle.get()
        if slot is None:
            self._idle.put(None)
            raise NotReady("this engine was closed")
        return slot

    def _put_back(self, slot: EngineSlot) -> None:
        with self._closing:
            if self._closed:
                slot.free()
            else:
                self._idle.put(slot)


def check_tensors(engine: Any, graph: Graph) -> None:
    """Raises NotReady for an engine whose tensors are not those of the manifest."""
    is_input = tensorrt().TensorIOMode.INPUT
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    for kind, specs, found in (
        ("inputs", graph.inputs, {name for name in names if engine.get_tensor_mode(name) == is_input}),
        ("outputs", graph.outputs, {name for name in names if engine.get_tensor_mode(name) != is_input}),
    ):
        if found != {spec.name for spec in specs}:
            raise NotReady(f"the engine has the {kind} {sorted(found)}, the manifest promises other ones")
    for spec in (*graph.inputs, *graph.outputs):
        dtype, shape = engine.get_tensor_dtype(spec.name).name, tuple(engine.get_tensor_shape(spec.name))
        # The engine may know less than the manifest about an output: an axis that it can not work out itself.
        if DATATYPES.get(dtype) != spec.dtype or not fits(spec.shape, shape):
            raise NotReady(
                f"{spec.name!r} is {dtype} {list(shape)} in the engine, {spec.dtype} {list(spec.shape)} is due"
            )


def check_profiles(engine: Any, profiles: Sequence[BatchProfile]) -> None:
    """Raises NotReady for an engine that was built for other batches or sizes."""
    num_profiles = engine.num_optimization_profiles
    if num_profiles != len(profiles):
        raise NotReady(f"the engine has {num_profiles} profiles; the manifest's batch sizes make {len(profiles)}")
    for index, profile in enumerate(profiles):
        for name, limits in profile.items():
            found = tuple(tuple(shape) for shape in engine.get_tensor_profile_shape(name, index))
            if found != tuple(limits):
                raise NotReady(f"profile {index} of the engine takes {name!r} as {found}, not as {tuple(limits)}")
