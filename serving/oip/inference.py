"""One inference in the words of no protocol: what HTTP and gRPC are translated into, and how it is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

import numpy as np

from serving.deadline import Deadline
from serving.oip.codec import NUMPY_DTYPES, classify, datatype_of
from serving.served import Served
from serving.served_model import ServedModel
from tasks.errors import BadInput
from tasks.task import Array, ParamValue, TensorSpec

ENCODED_INPUT = "encoded_image"
LABELLED_OUTPUT = "logits"
"""The graph output whose last axis follows the task's labels."""


MAX_TENSORS = 256
"""Inputs, and outputs, of one request. Each costs some microseconds of the event loop, and a body may name millions."""


@dataclass(frozen=True, slots=True)
class WantedOutput:
    """`num_classes` > 0: the classification extension, that many classes as BYTES instead of the numbers."""

    name: str
    num_classes: int = 0


@dataclass(frozen=True, slots=True)
class InferRequest:
    """Inputs with their batch axis. `outputs`: the wanted ones in order; none means all. `params`: the task's own."""

    inputs: Mapping[str, Array]
    outputs: Sequence[WantedOutput]
    params: Mapping[str, ParamValue]
    deadline: Deadline
    id: str = ""


@dataclass(frozen=True, slots=True)
class InferResponse:
    """Outputs in the order asked for, with their batch axis."""

    model_name: str
    model_version: str
    id: str
    outputs: Mapping[str, Array]


async def infer(model: ServedModel, request: InferRequest) -> InferResponse:
    """Encoded pictures → the task's outputs; the graph's own tensors → the graph's outputs.

    Raises BadInput for what the model does not take, and whatever the model's own path raises.
    """
    if ENCODED_INPUT in request.inputs:
        outputs = await infer_encoded(model, request)
    else:
        outputs = await infer_tensors(model, request)
    return InferResponse(model.name, model.version, request.id, outputs)


def check_num_tensors(num_inputs: int, num_outputs: int) -> None:
    """To be called before any of them is looked at. Raises BadInput."""
    if max(num_inputs, num_outputs) > MAX_TENSORS:
        raise BadInput(
            f"the request has {num_inputs} inputs and {num_outputs} outputs; at most {MAX_TENSORS} each are accepted"
        )


def note_encoding(model: Served, request: InferRequest, since: float) -> None:
    """The stage "encode" of tensors is their serialisation; that of pictures was observed by the model's own path."""
    if ENCODED_INPUT not in request.inputs:
        model.statistics.encode.observe(monotonic() - since)


async def infer_encoded(model: ServedModel, request: InferRequest) -> dict[str, Array]:
    """Pictures [n] of encoded bytes → the task's wire outputs [n, …], in original pixels."""
    if len(request.inputs) > 1:
        others = sorted(set(request.inputs) - {ENCODED_INPUT})
        raise BadInput(f"send either {ENCODED_INPUT!r} or tensors, not both; got {', '.join(others)} beside it")
    pictures = request.inputs[ENCODED_INPUT]
    if pictures.dtype != object or pictures.ndim != 1 or not len(pictures):
        got = f"{datatype_of(pictures)} {list(pictures.shape)}"
        raise BadInput(f"input {ENCODED_INPUT!r} must be BYTES [n], one encoded picture each; got {got}")
    names = wanted_names(request.outputs, [spec.name for spec in model.task.wire_specs()], "encoded pictures")
    if any(wanted.num_classes for wanted in request.outputs):
        raise BadInput("classification applies to outputs of tensor inputs; use the task's parameters for pictures")
    params = model.task.parse_params(request.params)
    if params.wants_overlay:
        verb = model.task.verb
        raise BadInput(
            "a picture with the answer drawn on it has no place among tensors: leave out parameter 'overlay', or "
            f"POST /v1/models/{model.name}/{verb}?overlay=true"
        )
    predictions = await model.predict_many(pictures.tolist(), params, request.deadline)
    items = [model.task.wire_outputs(prediction) for prediction in predictions]
    return {name: np.stack([item[name] for item in items]) for name in names}


async def infer_tensors(model: ServedModel, request: InferRequest) -> dict[str, Array]:
    """The graph's inputs [n, …] → its outputs [n, …]."""
    check_inputs(model.runtime.inputs, request.inputs)
    if request.params:
        model.task.parse_params(request.params)  # a misspelled option is an error here too
    if not request.outputs:
        return await model.infer(request.inputs, request.deadline)
    names = wanted_names(request.outputs, [spec.name for spec in model.runtime.outputs], "tensor inputs")
    computed = await model.infer(request.inputs, request.deadline, names)
    return {wanted.name: presented(model, computed[wanted.name], wanted) for wanted in request.outputs}


def presented(model: ServedModel, array: Array, wanted: WantedOutput) -> Array:
    """An output as numbers, or as its best classes."""
    if not wanted.num_classes:
        return array
    labels = model.task.labels if wanted.name == LABELLED_OUTPUT else ()
    return classify(array, wanted.num_classes, labels)


def wanted_names(outputs: Sequence[WantedOutput], offered: Sequence[str], occasion: str) -> list[str]:
    """The names asked for, or all that are offered. Raises BadInput for an unknown or repeated one."""
    names = [wanted.name for wanted in outputs]
    for name in names:
        if name not in offered:
            raise BadInput(f"there is no output {name!r} for {occasion}; there are {', '.join(offered)}")
    if len(set(names)) != len(names):
        raise BadInput(f"outputs {', '.join(names)}: ask for each one once")
    return names or list(offered)


def check_inputs(specs: Sequence[TensorSpec], inputs: Mapping[str, Array]) -> None:
    """Exactly the graph's inputs, each of its type and shape, all with one batch size ≥ 1. Raises BadInput."""
    for spec in specs:
        array = inputs.get(spec.name)
        if array is None:
            raise BadInput(f"input {spec.name!r} is missing; send {describe(specs)}, or {ENCODED_INPUT!r} as BYTES [n]")
        if array.dtype != NUMPY_DTYPES[spec.dtype] or not fits(array.shape, spec.shape):
            got = f"{datatype_of(array)} {list(array.shape)}"
            raise BadInput(f"input {spec.name!r} must be {spec.dtype} {list(spec.shape)}, got {got}")
        if not len(array):
            raise BadInput(f"input {spec.name!r} is an empty batch; send at least one item")
    if len(inputs) > len(specs):
        unknown = sorted(set(inputs) - {spec.name for spec in specs})
        raise BadInput(f"there is no input {', '.join(unknown)}; send {describe(specs)}")
    if len(specs) > 1 and len({len(array) for array in inputs.values()}) > 1:
        sizes = ", ".join(f"{name} {len(array)}" for name, array in inputs.items())
        raise BadInput(f"inputs differ in batch size: {sizes}")


def fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Does a shape agree with a specification in which −1 means any size?"""
    if len(shape) != len(wanted):
        return False
    return all(size == want or want < 0 for size, want in zip(shape, wanted, strict=True))


def describe(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{spec.name!r} as {spec.dtype} {list(spec.shape)}" for spec in specs)
