"""The infer message over gRPC, to and from the protocol-neutral request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from tritonclient.grpc.service_pb2 import ModelInferRequest, ModelInferResponse

from serving.deadline import Deadline
from serving.oip.codec import (
    BINARY_ONLY,
    count_elements,
    datatype_of,
    decode_binary,
    dtype_of,
    encode_binary,
    shaped,
)
from serving.oip.infer_request import InferRequest, InferResponse, WantedOutput
from serving.oip.parameters import InputParameters, OutputParameters, task_parameters
from serving.oip.shared_memory import SharedMemoryRegions
from tasks.errors import BadInput, TooLarge
from tasks.task import Array

CONTENTS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Datatype → the field of typed contents that carries it."""

MAX_PARAMETERS = 256
"""Of a request, or of one of its tensors. A message may hold millions, and each is looked at on the event loop."""
MAX_CONTENTS = 2**20
"""Elements of typed contents: they become Python objects one by one. Raw contents have no such limit."""

Sinks = Mapping[str, OutputParameters]


def plain_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A map of InferParameter messages as plain values. Raises BadInput for one without a value."""
    if len(parameters) > MAX_PARAMETERS:
        raise BadInput(f"{len(parameters)} parameters in one place; at most {MAX_PARAMETERS} are accepted")
    values = {}
    for name, parameter in parameters.items():
        kind = parameter.WhichOneof("parameter_choice")
        if kind is None:
            raise BadInput(f"parameter {name!r} has no value")
        values[name] = getattr(parameter, kind)
    return values


def parse_request(
    message: ModelInferRequest, parameters: Mapping[str, Any], deadline: Deadline, regions: SharedMemoryRegions
) -> tuple[InferRequest, Sinks]:
    """Raises BadInput for what does not add up. Raw contents are used in place, without a copy."""
    raw = message.raw_input_contents
    inputs: dict[str, Array] = {}
    num_raw = 0
    for tensor in message.inputs:
        name, shape = tensor.name, tuple(tensor.shape)
        if name in inputs:
            raise BadInput(f"input {name!r} is there twice")
        where = input_parameters(name, tensor.parameters) if tensor.parameters else None
        if where is not None and where.shared_memory_region is not None:
            data = regions.read(where.shared_memory_region, where.shared_memory_offset, where.shared_memory_byte_size)
            inputs[name] = decode_binary(name, tensor.datatype, shape, data)
        elif not raw:
            inputs[name] = decode_contents(name, tensor.datatype, shape, tensor.contents)
        elif num_raw >= len(raw):
            raise BadInput(f"input {name!r} has no data: there are only {len(raw)} raw_input_contents")
        elif tensor.HasField("contents"):
            raise BadInput(f"input {name!r} has contents beside raw_input_contents; use one of them for all inputs")
        else:
            inputs[name] = decode_binary(name, tensor.datatype, shape, raw[num_raw])
            num_raw += 1
    if num_raw != len(raw):
        raise BadInput(f"there are {len(raw)} raw_input_contents for {num_raw} inputs that need them")
    sinks = {output.name: output_parameters(output.name, output.parameters) for output in message.outputs}
    wanted = [WantedOutput(output.name, sinks[output.name].classification) for output in message.outputs]
    params = task_parameters(parameters) if parameters else {}
    return InferRequest(inputs, wanted, params, deadline, message.id), sinks


def input_parameters(name: str, parameters: Mapping[str, Any]) -> InputParameters:
    try:
        return msgspec.convert(plain_parameters(parameters), InputParameters)
    except msgspec.ValidationError as error:
        raise BadInput(f"parameters of input {name!r}: {error}") from error


def output_parameters(name: str, parameters: Mapping[str, Any]) -> OutputParameters:
    try:
        return msgspec.convert(plain_parameters(parameters), OutputParameters)
    except msgspec.ValidationError as error:
        raise BadInput(f"parameters of output {name!r}: {error}") from error


def decode_contents(name: str, datatype: str, shape: Sequence[int], contents: Any) -> Array:
    """Typed contents → array. The fields are wider than some datatypes: every value must fit. Raises BadInput."""
    count = count_elements(name, shape)
    if datatype in BINARY_ONLY:
        raise BadInput(f"tensor {name!r}: {datatype} goes into raw_input_contents")
    if count > MAX_CONTENTS:
        raise TooLarge(f"tensor {name!r} has {count} elements; send more than {MAX_CONTENTS} as raw_input_contents")
    dtype = dtype_of(name, datatype)
    values = getattr(contents, CONTENTS[datatype])
    if len(values) != count:
        raise BadInput(
            f"tensor {name!r}: {datatype} {list(shape)} takes {count} {CONTENTS[datatype]}, and {len(values)} were sent"
        )
    try:
        return shaped(name, np.array(list(values), dtype), shape)
    except OverflowError as error:
        raise BadInput(f"tensor {name!r}: a value does not fit {datatype} ({error})") from error


def build_response(response: InferResponse, sinks: Sinks, regions: SharedMemoryRegions) -> ModelInferResponse:
    """Outputs as raw contents, or in the shared memory asked for. Raises BadInput where they do not fit."""
    message = ModelInferResponse(model_name=response.model_name, model_version=response.model_version, id=response.id)
    for name, array in response.outputs.items():
        output = message.outputs.add(name=name, datatype=datatype_of(array), shape=array.shape)
        sink = sinks.get(name)
        if sink is None or sink.shared_memory_region is None:
            message.raw_output_contents.append(bytes(encode_binary(array)))
            continue
        region, offset = sink.shared_memory_region, sink.shared_memory_offset
        size = regions.write(region, offset, sink.shared_memory_byte_size, encode_binary(array))
        output.parameters["shared_memory_region"].string_param = region
        output.parameters["shared_memory_byte_size"].int64_param = size
        if offset:
            output.parameters["shared_memory_offset"].int64_param = offset
    return message
