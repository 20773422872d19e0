"""The infer message over HTTP: JSON, optionally followed by raw tensors, to and from the protocol-neutral request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from serving.deadline import Arrival
from serving.oip.codec import Buffer, datatype_of, decode_binary, decode_json, encode_binary, encode_json
from serving.oip.infer_request import ENCODED_INPUT, InferRequest, InferResponse, WantedOutput, check_num_tensors
from serving.oip.parameters import InputParameters, OutputParameters, deadline_of, flag, task_parameters
from serving.oip.shared_memory import SharedMemoryRegions
from tasks.errors import BadInput
from tasks.task import Array

NO_DATA = msgspec.Raw()
PLAIN_INPUT, PLAIN_OUTPUT = InputParameters(), OutputParameters()


class InputMessage(msgspec.Struct, frozen=True):
    """One input tensor. `data` is absent where `parameters` say where the data is."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: InputParameters | None = PLAIN_INPUT
    data: msgspec.Raw = NO_DATA


class OutputMessage(msgspec.Struct, frozen=True):
    """One requested output."""

    name: str
    parameters: OutputParameters | None = PLAIN_OUTPUT


class RequestMessage(msgspec.Struct, frozen=True):
    """The JSON of a request. Unknown fields pass: the protocol grows by them, and clients in the field send some."""

    inputs: tuple[InputMessage, ...]
    id: str | None = ""
    parameters: dict[str, Any] | None = None
    outputs: tuple[OutputMessage, ...] | None = None


class TensorMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One output tensor of a response; without `data` it follows in binary form or lies in shared memory."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: dict[str, Any] | None = None
    data: list[Any] | None = None


class ResponseMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """The JSON of a response."""

    model_name: str
    model_version: str
    outputs: list[TensorMessage]
    id: str = ""


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """How a response is to be written. Outputs that are not named go in binary form if `binary_by_default`."""

    named: Mapping[str, OutputParameters]
    binary_by_default: bool


RAW_PLAN = OutputPlan({}, binary_by_default=True)
decode_message = msgspec.json.Decoder(RequestMessage).decode
encode_message = msgspec.json.Encoder().encode


def parse_raw_request(body: bytes, arrival: Arrival) -> InferRequest:
    """A body without JSON: one encoded picture, all outputs wanted."""
    picture = np.empty(1, object)
    picture[0] = body
    return InferRequest({ENCODED_INPUT: picture}, (), {}, arrival.deadline())


def parse_request(
    body: bytes, num_json_bytes: int, regions: SharedMemoryRegions, arrival: Arrival
) -> tuple[InferRequest, OutputPlan]:
    """`num_json_bytes` of JSON and then the binary tensors in order. Raises BadInput for anything that is not so."""
    view = memoryview(body)
    try:
        message = decode_message(view[:num_json_bytes])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"the request is not the JSON of an inference: {error}") from error
    check_num_tensors(len(message.inputs), len(message.outputs or ()))
    inputs, rest = {}, view[num_json_bytes:]
    for tensor in message.inputs:
        where = tensor.parameters or PLAIN_INPUT
        if tensor.name in inputs:
            raise BadInput(f"input {tensor.name!r} is there twice")
        if where.binary_data_size is None:
            inputs[tensor.name] = parse_input(tensor, where, regions)
            continue
        if where.binary_data_size > len(rest):
            raise BadInput(f"input {tensor.name!r} claims {where.binary_data_size} bytes, and {len(rest)} are left")
        data, rest = rest[: where.binary_data_size], rest[where.binary_data_size :]
        inputs[tensor.name] = decode_binary(tensor.name, tensor.datatype, tensor.shape, data)
    if rest:
        raise BadInput(f"{len(rest)} bytes after the last input belong to no tensor; check binary_data_size")
    parameters = message.parameters or {}
    request = InferRequest(
        inputs,
        [wanted_output(output) for output in message.outputs or ()],
        task_parameters(parameters) if parameters else {},
        deadline_of(parameters, arrival),
        message.id or "",
    )
    named = {output.name: output.parameters or PLAIN_OUTPUT for output in message.outputs or ()}
    return request, OutputPlan(named, flag(parameters, "binary_data_output"))


def parse_input(tensor: InputMessage, where: InputParameters, regions: SharedMemoryRegions) -> Array:
    """An input whose data is in the JSON or in shared memory."""
    if where.shared_memory_region is not None:
        data = regions.read(where.shared_memory_region, where.shared_memory_offset, where.shared_memory_byte_size)
        return decode_binary(tensor.name, tensor.datatype, tensor.shape, data)
    if not bytes(tensor.data):
        raise BadInput(f"input {tensor.name!r} has no data: give 'data', binary_data_size or a shared memory region")
    return decode_json(tensor.name, tensor.datatype, tensor.shape, memoryview(tensor.data))


def wanted_output(output: OutputMessage) -> WantedOutput:
    return WantedOutput(output.name, output.parameters.classification if output.parameters else 0)


def build_response(
    response: InferResponse, plan: OutputPlan, regions: SharedMemoryRegions
) -> tuple[int | None, Sequence[Buffer]]:
    """The parts of the body in order, and how many bytes of it are JSON if binary tensors follow (else None).

    Raises BadInput for an output that the form asked for can not hold.
    """
    tensors, binary = [], list[Buffer]()
    for name, array in response.outputs.items():
        sink = plan.named.get(name, PLAIN_OUTPUT)
        datatype, shape = datatype_of(array), array.shape
        in_binary = plan.binary_by_default if sink.binary_data is None else sink.binary_data
        if sink.shared_memory_region is not None:
            tensors.append(TensorMessage(name, datatype, shape, store_output(array, sink, regions)))
        elif in_binary:
            raw = encode_binary(array)
            binary.append(raw)
            size = memoryview(raw).nbytes
            tensors.append(TensorMessage(name, datatype, shape, {"binary_data_size": size}))
        else:
            tensors.append(TensorMessage(name, datatype, shape, None, encode_json(name, array)))
    head = encode_message(ResponseMessage(response.model_name, response.model_version, tensors, response.id))
    return (len(head) if binary else None), [head, *binary]


def store_output(array: Array, sink: OutputParameters, regions: SharedMemoryRegions) -> dict[str, Any]:
    """Put an output into the region it was asked for in → the parameters that tell the client so."""
    region, offset = sink.shared_memory_region or "", sink.shared_memory_offset
    size = regions.write(region, offset, sink.shared_memory_byte_size, encode_binary(array))
    stored: dict[str, Any] = {"shared_memory_region": region, "shared_memory_byte_size": size}
    return stored | ({"shared_memory_offset": offset} if offset else {})
