"""config.pbtxt: what Triton must know of a model, built as the message that it is parsed into.

An operator tunes this file: how long a queue may gather, how many instances run, on which devices. So one that is there
already stays as it is, and learns of one more version. Only what the versions of a model must agree in is checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2
from tritonclient.grpc.model_config_pb2 import ModelConfig

from registry.manifest import Graph, Requirements
from serving.runtimes.triton_origin import Origin, encode_origin, parameter_of, read_origins
from tasks.errors import Conflict, InvalidPackage, Unsupported
from tasks.task import TensorSpec

Backend = Literal["onnxruntime", "tensorrt", "python"]
"""What executes the graph there. python: ONNX Runtime in Triton's Python backend, for a Triton without others."""
MODEL_FILES: dict[Backend, str] = {"onnxruntime": "model.onnx", "tensorrt": "model.plan", "python": "model.py"}
LONGEST_WAIT_US = 3_600_000_000
"""In Triton's queue, for whoever names no deadline or a later one."""
AGREED = ("name", "backend", "max_batch_size", "input", "output")
"""Fields that hold for every version of a model, and so do the profiles of its engines."""


def build_config(
    name: str, graph: Graph, batch_buckets: Sequence[int], requires: Requirements, backend: Backend
) -> Any:
    """ModelConfig without versions: batches up to the largest bucket, formed without waiting, one instance.

    Raises InvalidPackage for a graph that can not be batched, Unsupported for one that the backend can not run as it
    asks to."""
    check_axes(graph, name)
    check_processor(name, requires, backend)
    config = ModelConfig(name=name, backend=backend, max_batch_size=batch_buckets[-1])
    config.default_model_filename = MODEL_FILES[backend]
    for specs, tensors in ((graph.inputs, config.input), (graph.outputs, config.output)):
        for spec in specs:
            tensors.add(name=spec.name, data_type=data_type(spec), dims=item_shape(spec))
    config.version_policy.all.SetInParent()
    config.dynamic_batching.preferred_batch_size.extend(bucket for bucket in batch_buckets if bucket > 1)
    config.dynamic_batching.max_queue_delay_microseconds = 0
    # A request may say how long it is worth waiting for, but only less than what is said here.
    policy = config.dynamic_batching.default_queue_policy
    policy.allow_timeout_override, policy.default_timeout_microseconds = True, LONGEST_WAIT_US
    instances = config.instance_group.add(count=1, kind=instance_kind(backend, requires))
    if backend == "tensorrt":
        # Engines are built with a profile for each batch size; Triton uses those that it is told of.
        instances.profile.extend(str(index) for index in range(len(batch_buckets)))
    return config


def knows(config: Any, version: str, origin: Origin) -> bool:
    """Whether the configuration has this version already. Raises Conflict where it was made from something else."""
    there = read_origins({name: value.string_value for name, value in config.parameters.items()}).get(version)
    if there not in (None, origin):
        raise Conflict(
            f"version {version} of {config.name!r} in that repository is {there}, and this is {origin}; export into "
            "another folder, or remove that version's folder and its parameter in config.pbtxt"
        )
    return there is not None


def add_version(config: Any, version: str, origin: Origin, warm_up: Sequence[Any]) -> None:
    """Let the configuration know of a version; models are warmed with what this one brings."""
    config.parameters[parameter_of(version)].string_value = encode_origin(origin)
    del config.model_warmup[:]
    config.model_warmup.extend(warm_up)


def check_agrees(there: Any, new: Any) -> None:
    """Raises Conflict where a version of the new configuration can not live under the one that is there."""
    facts = [(field, getattr(new, field), getattr(there, field)) for field in AGREED]
    for field, ours, theirs in (*facts, ("number of batch sizes", num_profiles(new), num_profiles(there))):
        if ours != theirs:
            raise Conflict(
                f"the versions of {new.name!r} in that repository have another {field}: {one_line(theirs)}, and this "
                f"one {one_line(ours)}; export into another folder"
            )


def num_profiles(config: Any) -> int:
    return max((len(group.profile) for group in config.instance_group), default=0)


def one_line(value: Any) -> str:
    return " ".join(str(value).split()) or "none"


def read_config(path: Path) -> Any:
    """Raises InvalidPackage for a file that Triton could not parse either."""
    try:
        return text_format.Parse(path.read_text("utf-8"), ModelConfig())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise InvalidPackage(f"{path} is no configuration of a model: {error}") from error


def print_config(config: Any) -> str:
    """As config.pbtxt, proved by parsing it."""
    text = str(text_format.MessageToString(config))
    if text_format.Parse(text, ModelConfig()) != config:
        raise AssertionError("a printed configuration must parse to itself")
    return text


def data_type(spec: TensorSpec) -> int:
    """The number that Triton has for a datatype of the Open Inference Protocol."""
    name = "TYPE_STRING" if spec.dtype == "BYTES" else f"TYPE_{spec.dtype}"
    return int(model_config_pb2.DataType.Value(name))


def item_shape(spec: TensorSpec) -> tuple[int, ...]:
    """Without the batch axis, which `max_batch_size` implies."""
    return spec.shape[1:]


def check_axes(graph: Graph, name: str) -> None:
    """Raises InvalidPackage for a tensor without a free batch axis: nothing could be batched."""
    for spec in (*graph.inputs, *graph.outputs):
        if not spec.shape or spec.shape[0] != -1:
            raise InvalidPackage(f"tensor {spec.name!r} of {name!r} is {list(spec.shape)} and has no free batch axis")


def check_processor(name: str, requires: Requirements, backend: Backend) -> None:
    """Raises Unsupported for what was made for a GPU, on the backend that has none: never on the processor instead."""
    if backend == "python" and requires.provider == "cuda":
        raise Unsupported(
            f"this variant of {name!r} is for GPUs, and backend python runs on processors: name another by --variant, "
            "and in TIDEGATE_VARIANT of the server that asks for it; or choose backend onnxruntime"
        )


def instance_kind(backend: Backend, requires: Requirements) -> int:
    """Where instances run. What says of itself that it needs a GPU must not start without one."""
    if backend == "python":
        kind = "KIND_CPU"
    elif backend == "tensorrt" or requires.provider == "cuda":
        kind = "KIND_GPU"
    else:
        kind = "KIND_AUTO"
    return int(model_config_pb2.ModelInstanceGroup.Kind.Value(kind))
