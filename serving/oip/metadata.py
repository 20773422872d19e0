"""What a server and a model say about themselves: metadata and configuration, as plain JSON-able values.

Only what works is advertised. Both protocols answer from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from serving.model_host import ModelHost
from serving.model_slot import ModelState
from serving.oip.infer_request import ENCODED_INPUT
from serving.oip.prompted_inference import input_spec, output_specs
from serving.served import Served
from serving.served_model import ServedModel
from tasks.errors import NotReady
from tasks.task import TensorSpec

SERVER_NAME = "tidegate"
PLATFORM, BACKEND = "onnxruntime_onnx", "onnxruntime"
EXTENSIONS = ("classification", "model_configuration", "binary_tensor_data", "parameters", "statistics")
ADMIN_EXTENSIONS = ("model_repository",)
SHARED_MEMORY_EXTENSION = "system_shared_memory"
ENCODED_SPEC = TensorSpec(name=ENCODED_INPUT, dtype="BYTES", shape=(-1,))


def server_metadata(extensions: Iterable[str]) -> dict[str, Any]:
    return {"name": SERVER_NAME, "version": server_version(), "extensions": list(extensions)}


def server_version() -> str:
    """Of the installed distribution; a bare checkout has none."""
    try:
        return version("tidegate")
    except PackageNotFoundError:
        return "0+checkout"


def wire_inputs(model: Served) -> tuple[TensorSpec, ...]:
    """All inputs are optional: either the graph's own, or encoded pictures. A model that generates has one input."""
    return (*model.runtime.inputs, ENCODED_SPEC) if isinstance(model, ServedModel) else (input_spec(model),)


def wire_outputs(model: Served) -> tuple[TensorSpec, ...]:
    """The graph's outputs, for tensors; then the task's, for encoded pictures. Or those of generated answers."""
    if isinstance(model, ServedModel):
        return (*model.runtime.outputs, *model.task.wire_specs())
    return output_specs(model)


def model_metadata(model: Served) -> dict[str, Any]:
    """`parameters` says which variant of the package answers, and the digest of the package (if there is one)."""
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": PLATFORM,
        "inputs": [tensor_metadata(spec) for spec in wire_inputs(model)],
        "outputs": [tensor_metadata(spec) for spec in wire_outputs(model)],
        "parameters": {"variant": model.variant, "digest": digest_of(model)},
    }


def digest_of(model: Served) -> str:
    return model.package.digest if model.package else ""


def tensor_metadata(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.dtype, "shape": list(spec.shape)}


def model_config(model: Served) -> dict[str, Any]:
    """The configuration as Triton's clients read it: `dims` without the batch axis, where `max_batch_size` implies one.

    A model that generates is decoupled: ModelStreamInfer answers a request by several responses."""
    plan = model.plan if isinstance(model, ServedModel) else None
    batching = {} if plan is None else {"dynamic_batching": {"preferred_batch_size": list(plan.buckets)}}
    first_axis = 0 if plan is None else 1
    return {
        "name": model.name,
        "platform": PLATFORM,
        "backend": BACKEND,
        "max_batch_size": 0 if plan is None else plan.max_rows,
        "input": [tensor_config(spec, first_axis) | {"optional": plan is not None} for spec in wire_inputs(model)],
        "output": [tensor_config(spec, first_axis) for spec in wire_outputs(model)],
        **batching,
        "model_transaction_policy": {"decoupled": plan is None},
        "parameters": {
            "variant": {"string_value": model.variant},
            "digest": {"string_value": digest_of(model)},
        },
    }


def tensor_config(spec: TensorSpec, first_axis: int) -> dict[str, Any]:
    datatype = "STRING" if spec.dtype == "BYTES" else spec.dtype
    return {"name": spec.name, "data_type": f"TYPE_{datatype}", "dims": list(spec.shape[first_axis:])}


def check_ready(host: ModelHost, name: str, model_version: str | None) -> Served:
    """The model, if it answers. Raises NotFound, or NotReady with the reason, also where its runtime hangs."""
    model = host.get(name, model_version)
    states = [state for state in host.index() if (state.name, state.version) == (model.name, model.version)]
    if states and all(state.state != "READY" for state in states):
        raise NotReady(f"model {name!r} is not ready: {states[0].without_places().reason}")
    if host.draining:
        raise NotReady("the server is shutting down")
    return model


def ready_models(host: ModelHost) -> list[Served]:
    """Every model that answers, once, however many references lead to it."""
    return list(dict.fromkeys(host.get(one.name, one.version) for one in host.index() if one.state == "READY"))


def repository_index(states: Sequence[ModelState], *, ready_only: bool) -> list[dict[str, str]]:
    """Every model this server knows of, or those that are ready."""
    return [
        {"name": state.name, "version": state.version, "state": state.state, "reason": state.reason}
        for state in states
        if state.state == "READY" or not ready_only
    ]
