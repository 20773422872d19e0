"""Inference by a model that generates: prompts or pictures as BYTES in, its answers as BYTES out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from serving.batcher import gather_or_cancel
from serving.generative_model import GenerativeModel
from serving.oip.codec import datatype_of
from serving.oip.infer_request import ENCODED_INPUT, InferRequest, wanted_names
from serving.prompted import Prompted, prompt_picture, prompt_text
from serving.served import Served
from tasks.errors import BadInput
from tasks.task import Array, TensorSpec
from tasks.text import decode_text
from tasks.text_generation import TextGeneration

TEXT_INPUT = "text_input"
MAX_PROMPTS = 64
"""Of one request: each is generated for on its own."""


def input_spec(model: Served) -> TensorSpec:
    """The one input that it takes."""
    takes_pictures = isinstance(model, GenerativeModel) and model.task.encoder is not None
    return TensorSpec(name=ENCODED_INPUT if takes_pictures else TEXT_INPUT, dtype="BYTES", shape=(-1,))


def output_specs(model: Served) -> tuple[TensorSpec, ...]:
    """One element for each answer: those to the first prompt, then those to the second, …"""
    return model.task.wire_specs() if isinstance(model, GenerativeModel) else TextGeneration.wire_specs()


async def infer_prompts(model: Served, request: InferRequest) -> dict[str, Array]:
    """All answers to all prompts. Raises BadInput, and what the model raises; the first failure fails all."""
    payloads = payloads_of(model, request)
    names = wanted_names(request.outputs, [spec.name for spec in output_specs(model)], "a model that generates")
    if any(wanted.num_classes for wanted in request.outputs):
        raise BadInput("classification applies to outputs that hold a number for each class; there are none here")
    if isinstance(model, GenerativeModel):
        model.generator.check_fits(len(payloads) * model.task.parse_params(request.params).num_slots)
    items = await gather_or_cancel(
        [infer_prompt(model, payload, request, index) for index, payload in enumerate(payloads)]
    )
    return {name: np.concatenate([item[name] for item in items]) for name in names}


async def infer_prompt(model: Served, payload: bytes, request: InferRequest, index: int) -> Mapping[str, Array]:
    prompted = await put(model, payload, request, index)
    return prompted.wire_outputs(await prompted.predict())


async def put(model: Served, payload: bytes, request: InferRequest, index: int = 0) -> Prompted:
    """One prompt or picture, the request's `index`th, is being answered from here on."""
    if input_spec(model).name == ENCODED_INPUT:
        return await prompt_picture(model, payload, request.params, request.deadline, index)
    return await prompt_text(model, decode_text(payload, TEXT_INPUT), request.params, request.deadline, index)


def payloads_of(model: Served, request: InferRequest) -> Sequence[bytes]:
    """The elements of the model's input. Raises BadInput for any other input, type or shape."""
    wanted = input_spec(model).name
    if set(request.inputs) != {wanted}:
        got = ", ".join(map(repr, request.inputs)) or "nothing"
        raise BadInput(f"send one input, {wanted!r} as BYTES [n]; got {got}")
    given = request.inputs[wanted]
    if given.dtype != object or not given.size or given.size != max(given.shape, default=0):
        raise BadInput(f"input {wanted!r} must be BYTES [n]; got {datatype_of(given)} {list(given.shape)}")
    if given.size > MAX_PROMPTS:
        raise BadInput(f"input {wanted!r} holds {given.size} prompts; at most {MAX_PROMPTS} are accepted at once")
    payloads: list[bytes] = given.reshape(-1).tolist()
    return payloads
