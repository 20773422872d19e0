"""ONNX Runtime: the embedded default, on CPU or CUDA."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Literal

import numpy as np

from serving.runtimes.runtime import DeviceTensor
from tasks.errors import NotReady
from tasks.task import Array, TensorSpec

Provider = Literal["cpu", "cuda"]
PROVIDER_NAMES: Mapping[Provider, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
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
    "FP32": "float32",
    "FP64": "float64",
}


def check_one_engine() -> None:
    """Exactly one of onnxruntime and onnxruntime-gpu may be installed: they overwrite each other's files.

    Raises NotReady saying what to install or remove.
    """
    installed = [name for name in ("onnxruntime", "onnxruntime-gpu") if is_installed(name)]
    if not installed:
        raise NotReady("no inference engine is installed: run pip install 'tidegate[cpu]' or 'tidegate[gpu]'")
    if len(installed) == 2:
        raise NotReady(
            "both onnxruntime and onnxruntime-gpu are installed and overwrite each other: run pip uninstall -y "
            "onnxruntime onnxruntime-gpu, then pip install 'tidegate[cpu]' or 'tidegate[gpu]'"
        )


def is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


class OrtDeviceTensor:
    """A tensor held by ONNX Runtime on the graph's device."""

    def __init__(self, spec: TensorSpec, value: Any) -> None:
        self._spec, self.value = spec, value

    @property
    def spec(self) -> TensorSpec:
        return self._spec

    def to_numpy(self) -> Array:
        array: Array = self.value.numpy()
        return array


class OnnxRuntime:
    """One session over one graph. `run` may be called from `slots` threads at once."""

    def __init__(self, graph: Path, provider: Provider = "cpu", num_threads: int = 1, slots: int = 1) -> None:
        """`num_threads`: compute threads of one run. Raises NotReady where the provider can not be had."""
        check_one_engine()
        import onnxruntime as ort

        wanted = PROVIDER_NAMES[provider]
        if wanted not in ort.get_available_providers():
            raise NotReady(f"{graph.name} asks for {wanted}, and this ONNX Runtime has {ort.get_available_providers()}")
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = num_threads, 1
        # Spinning threads would take the core from decoding and I/O on the small machines we run on.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.log_severity_level = 3
        if provider == "cuda":
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        self._session = ort.InferenceSession(str(graph), options, providers=[provider_entry(provider)])
        self._session.disable_fallback()
        if self._session.get_providers()[0] != wanted:
            raise NotReady(f"{graph.name} was to run on {wanted} and got {self._session.get_providers()}")
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

    def allocate(self, spec: TensorSpec) -> OrtDeviceTensor:
        zeros = np.zeros(spec.shape, NUMPY_TYPES[spec.dtype])
        return OrtDeviceTensor(spec, self._ort.OrtValue.ortvalue_from_numpy(zeros, self._device, 0))

    def run(
        self,
        inputs: Mapping[str, Array | DeviceTensor],
        outputs: Sequence[str] | Mapping[str, DeviceTensor] | None = None,
    ) -> dict[str, Array]:
        if isinstance(outputs, Mapping) or any(isinstance(value, OrtDeviceTensor) for value in inputs.values()):
            return self._run_bound(inputs, outputs)
        names = self._output_names if outputs is None else list(outputs)
        return dict(zip(names, self._session.run(names, dict(inputs)), strict=True))

    def _run_bound(
        self,
        inputs: Mapping[str, Array | DeviceTensor],
        outputs: Sequence[str] | Mapping[str, DeviceTensor] | None,
    ) -> dict[str, Array]:
        """Outputs bound to a device tensor stay there; all other wanted outputs come back as arrays."""
        binding = self._session.io_binding()
        for name, value in inputs.items():
            if isinstance(value, OrtDeviceTensor):
                binding.bind_ortvalue_input(name, value.value)
            else:
                binding.bind_cpu_input(name, np.ascontiguousarray(value))
        bound = outputs if isinstance(outputs, Mapping) else {}
        wanted = self._output_names if outputs is None or isinstance(outputs, Mapping) else list(outputs)
        returned = [name for name in wanted if name not in bound]
        for name, tensor in bound.items():
            assert isinstance(tensor, OrtDeviceTensor)
            binding.bind_ortvalue_output(name, tensor.value)
        for name in returned:
            binding.bind_output(name)
        self._session.run_with_iobinding(binding)
        values = dict(zip([*bound, *returned], binding.copy_outputs_to_cpu(), strict=True))
        return {name: values[name] for name in returned}

    def close(self) -> None:
        """Free the session's memory now rather than when the last reference goes."""
        del self._session


def provider_entry(provider: Provider) -> str | tuple[str, dict[str, str]]:
    """CUDA's arena grows by what is asked for, so that memory follows the warmed batch sizes and no more."""
    if provider == "cpu":
        return PROVIDER_NAMES[provider]
    return PROVIDER_NAMES[provider], {"arena_extend_strategy": "kSameAsRequested"}


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
