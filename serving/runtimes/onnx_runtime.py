"""ONNX Runtime: the embedded default, on CPU or CUDA."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from registry.coded_graph import DecodedGraph
from serving.runtimes.compute_threads import ONE_THREAD, ComputeThreads
from serving.runtimes.execution_provider import PROVIDER_NAMES, Provider, provider_entry
from serving.runtimes.fp32_products import Fp32Products
from serving.runtimes.graph_source import open_source
from serving.runtimes.huge_pages import on_huge_pages
from serving.runtimes.installed_engine import check_one_engine
from serving.runtimes.runtime import DeviceTensor
from serving.runtimes.tensor_check import check_inputs, check_outputs
from tasks.errors import NotReady
from tasks.task import Array, TensorSpec

DATATYPES: Mapping[str, str] = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(bfloat16)": "BF16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
}
NUMPY_TYPES: Mapping[str, str] = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "BF16": "uint16",
    "FP32": "float32",
    "FP64": "float64",
}
"""What an array of it holds. Numpy lacks BF16: its words are handed on as they are."""
BFLOAT16 = 16
"""ONNX's number of the type, which ONNX Runtime takes where numpy has none."""


class OrtDeviceTensor:
    """Rows of a tensor held by ONNX Runtime on the graph's device."""

    def __init__(self, spec: TensorSpec, value: Any, start: int = 0) -> None:
        """`value` holds the whole tensor; `spec` describes the rows from `start` on that this one is."""
        self._spec, self._value, self._start = spec, value, start
        numpy_type = np.dtype(NUMPY_TYPES[spec.dtype])
        self.element_type: np.dtype[Any] | int = BFLOAT16 if spec.dtype == "BF16" else numpy_type
        row_bytes = math.prod(spec.shape[1:]) * numpy_type.itemsize
        self.address = value.data_ptr() + start * row_bytes

    @property
    def spec(self) -> TensorSpec:
        return self._spec

    def to_numpy(self) -> Array:
        whole: Array = self._value.numpy()
        return whole[self._start : self._start + self._spec.shape[0]]

    def rows(self, start: int, stop: int) -> OrtDeviceTensor:
        if not 0 <= start < stop <= self._spec.shape[0]:
            raise ValueError(f"rows {start} to {stop} of {self._spec.name!r}, which has {self._spec.shape[0]}")
        spec = msgspec.structs.replace(self._spec, shape=(stop - start, *self._spec.shape[1:]))
        return OrtDeviceTensor(spec, self._value, self._start + start)


class OrtBinding:
    """See Binding. Holds on to what is bound: the runtime is given addresses alone."""

    def __init__(
        self,
        session: Any,
        device: Provider,
        inputs: Mapping[str, OrtDeviceTensor],
        outputs: Mapping[str, OrtDeviceTensor],
    ) -> None:
        self._session, self._bound = session, (inputs, outputs)
        self._binding = session.io_binding()
        for name, tensor in inputs.items():
            shape = tensor.spec.shape
            self._binding.bind_input(name, device, 0, tensor.element_type, shape, tensor.address)
        for name, tensor in outputs.items():
            shape = tensor.spec.shape
            self._binding.bind_output(name, device, 0, tensor.element_type, shape, tensor.address)
        others = [node.name for node in session.get_outputs() if node.name not in outputs]
        self._returned = {name: index for index, name in enumerate(others, start=len(outputs))}

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        binding = self._binding
        for name, array in inputs.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(array))
        # Bound anew for every run: the runtime would write over what it returned before, in the shape of that.
        for name in self._returned:
            binding.bind_output(name)
        self._session.run_with_iobinding(binding)
        values = binding.get_outputs_as_ortvaluevector()
        return {name: values[index].numpy() for name, index in self._returned.items()}


class OnnxRuntime:
    """One session over one graph. `run` may be called from `slots` threads at once."""

    def __init__(
        self,
        graph: Path | DecodedGraph,
        provider: Provider = "cpu",
        threads: ComputeThreads = ONE_THREAD,
        slots: int = 1,
        fp32_products: Fp32Products = "fp32",
    ) -> None:
        """Raises NotReady where the provider can not be had."""
        check_one_engine()
        import onnxruntime as ort

        wanted = PROVIDER_NAMES[provider]
        if wanted not in ort.get_available_providers():
            raise NotReady(f"a graph asks for {wanted}, and this ONNX Runtime has {ort.get_available_providers()}")
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads.number, 1
        options.add_session_config_entry(
            "session.intra_op.allow_spinning", str(int(threads.between_operators == "spin"))
        )
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        # Between two runs nobody spins: it would take the cores from decoding, I/O and other models.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.log_severity_level = 3
        if provider == "cuda":
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        with on_huge_pages():
            source = open_source(graph, options)
            self._session: Any = ort.InferenceSession(
                source, options, providers=[provider_entry(provider, fp32_products)]
            )
        self._session.disable_fallback()
        if self._session.get_providers()[0] != wanted:
            raise NotReady(f"a graph was to run on {wanted} and got {self._session.get_providers()}")
        self._ort, self._device, self._slots = ort, provider, slots
        self._inputs = tuple(tensor_spec(node) for node in self._session.get_inputs())
        self._outputs = tuple(tensor_spec(node) for node in self._session.get_outputs())
        self._output_names = [spec.name for spec in self._outputs]

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._outputs

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def on_cpu(self) -> bool:
        return self._device == "cpu"

    def allocate(self, spec: TensorSpec) -> OrtDeviceTensor:
        zeros = np.zeros(spec.shape, NUMPY_TYPES[spec.dtype])
        return OrtDeviceTensor(spec, self._ort.OrtValue.ortvalue_from_numpy(zeros, self._device, 0))

    def run(
        self,
        inputs: Mapping[str, Array | DeviceTensor],
        outputs: Sequence[str] | Mapping[str, DeviceTensor] | None = None,
    ) -> dict[str, Array]:
        if self._session is None:
            raise NotReady("this runtime was closed")
        bound = {name: value for name, value in inputs.items() if isinstance(value, OrtDeviceTensor)}
        if not bound and not isinstance(outputs, Mapping):
            names = self._output_names if outputs is None else list(outputs)
            try:
                return dict(zip(names, self._session.run(names, dict(inputs)), strict=True))
            except Exception:
                # Only now: who computes does not pay for who sends what can not be computed.
                check_inputs(self._inputs, {name: np.asarray(value) for name, value in inputs.items()})
                check_outputs(self._outputs, names)
                raise
        targets = outputs if isinstance(outputs, Mapping) else {}
        arrays = {name: np.asarray(value) for name, value in inputs.items() if name not in bound}
        returned = self.bind(bound, targets).run(arrays)
        return returned if outputs is None or outputs is targets else {name: returned[name] for name in outputs}

    def bind(self, inputs: Mapping[str, DeviceTensor], outputs: Mapping[str, DeviceTensor]) -> OrtBinding:
        ours = (inputs, outputs)
        bound_inputs, bound_outputs = (
            {name: value for name, value in tensors.items() if isinstance(value, OrtDeviceTensor)} for tensors in ours
        )
        if len(bound_inputs) + len(bound_outputs) < len(inputs) + len(outputs):
            raise TypeError("only tensors that this kind of runtime allocated can be bound to it")
        return OrtBinding(self._session, self._device, bound_inputs, bound_outputs)

    def close(self) -> None:
        """Free the session's memory now rather than when the last reference goes."""
        self._session = None


def tensor_spec(node: Any) -> TensorSpec:
    """ONNX Runtime's description of an input or output → ours; symbolic sizes become −1."""
    shape = tuple(size if isinstance(size, int) else -1 for size in node.shape)
    return TensorSpec(name=node.name, dtype=DATATYPES[node.type], shape=shape)


def available_providers() -> frozenset[Provider]:
    """What the installed ONNX Runtime can execute on, in the words of a manifest."""
    check_one_engine()
    import onnxruntime as ort

    offered = ort.get_available_providers()
    return frozenset(provider for provider, name in PROVIDER_NAMES.items() if name in offered)
