"""How an inference is answered: from encoded pictures, from the graph's own tensors, or by generating."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic

import numpy as np

from serving.oip.codec import NUMPY_DTYPES, classify, datatype_of
from serving.oip.infer_request import ENCODED_INPUT, InferRequest, InferResponse, WantedOutput, wanted_names
from serving.oip.prompted_inference import infer_prompts
from serving.served import Served
from serving.served_model import ServedModel
from serving.tracing.trace import CURRENT_TRACE, note_stage
from tasks.errors import BadInput
from tasks.task import Array, TensorSpec

LABELLED_OUTPUT = "logits"
"""The graph output whose last axis follows the task's labels."""


async def infer(model: Served, request: InferRequest) -> InferResponse:
    """Encoded pictures → the task's outputs; the graph's own tensors → the graph's outputs; prompts → answers.

    Raises BadInput for what the model does not take, and whatever the model's own path raises.
    """
    if not isinstance(model, ServedModel):
        outputs = await infer_prompts(model, request)
    elif ENCODED_INPUT in request.inputs:
        outputs = await infer_encoded(model, request)
    else:
        outputs = await infer_tensors(model, request)
    return InferResponse(model.name, model.version, request.id, outputs)


def note_encoding(model: Served, request: InferRequest, since: float) -> None:
    """The stage "encode" of tensors is their serialisation; that of pictures was observed by the model's own path."""
    if isinstance(model, ServedModel) and ENCODED_INPUT not in request.inputs:
        encoded_at = monotonic()
        model.statistics.encode.observe(encoded_at - since)
        note_stage(CURRENT_TRACE.get(), "encode", since, encoded_at)


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
