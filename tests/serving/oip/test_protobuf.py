from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import InferInput, InferRequestedOutput, InferResult
from tritonclient.grpc.service_pb2 import InferParameter, ModelInferRequest, ModelInferResponse

from serving.deadline import Deadline
from serving.oip.codec import NUMPY_DTYPES
from serving.oip.infer_request import InferResponse, WantedOutput
from serving.oip.protobuf import CONTENTS, build_response, parse_request, plain_parameters
from serving.oip.shared_memory import SharedMemoryRegions
from tasks.errors import BadInput, TidegateError, TooLarge

REGIONS = SharedMemoryRegions(enabled=False, max_tensor_bytes=1000)


def parse(message: ModelInferRequest) -> Any:
    return parse_request(message, plain_parameters(message.parameters), Deadline(), REGIONS)[0]


def raw_message(array: np.ndarray, datatype: str) -> ModelInferRequest:
    """As tritonclient writes it."""
    tensor = InferInput("x", list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    message = ModelInferRequest(inputs=[tensor._get_tensor()], id="7")
    message.raw_input_contents.append(tensor._get_content())
    return message


@pytest.mark.parametrize("datatype", sorted(set(NUMPY_DTYPES) - {"BYTES"}))
def test_raw_and_typed_contents_mean_the_same(datatype: str) -> None:
    array = np.array([[0, 1, 1]], NUMPY_DTYPES[datatype])
    np.testing.assert_array_equal(parse(raw_message(array, datatype)).inputs["x"], array)
    if datatype == "FP16":
        return
    message = ModelInferRequest()
    tensor = message.inputs.add(name="x", datatype=datatype, shape=array.shape)
    getattr(tensor.contents, CONTENTS[datatype]).extend(array.reshape(-1).tolist())
    parsed = parse(message).inputs["x"]
    np.testing.assert_array_equal(parsed, array)
    assert parsed.dtype == array.dtype


def test_elements_of_bytes_are_read_both_ways() -> None:
    array = np.array([b"a", b"\xff" * 300], object)
    assert parse(raw_message(array, "BYTES")).inputs["x"].tolist() == array.tolist()
    message = ModelInferRequest()
    message.inputs.add(name="x", datatype="BYTES", shape=[2]).contents.bytes_contents.extend(array.tolist())
    assert parse(message).inputs["x"].tolist() == array.tolist()


def test_parameters_outputs_and_id_are_carried_over() -> None:
    message = raw_message(np.zeros(1, np.uint8), "UINT8")
    message.outputs.append(InferRequestedOutput("y", class_count=3)._get_tensor())
    message.parameters["top_k"].int64_param = 2
    message.parameters["priority"].uint64_param = 1
    request = parse(message)
    assert (request.id, request.outputs, request.params) == ("7", [WantedOutput("y", 3)], {"top_k": 2})


def wrong(change: Any) -> ModelInferRequest:
    message = raw_message(np.zeros((1, 2), np.float32), "FP32")
    change(message)
    return message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda m: m.raw_input_contents.append(b""), "2 raw_input_contents for 1"),
        (lambda m: m.raw_input_contents.pop(), "takes 2 fp32_contents"),
        (lambda m: m.inputs.add(name="y", datatype="FP32", shape=[1]), "only 1 raw"),
        (lambda m: m.inputs.add(name="x", datatype="FP32", shape=[1]), "twice"),
        (lambda m: m.inputs[0].contents.fp32_contents.append(1), "beside raw_input_contents"),
        (lambda m: m.inputs[0].shape.append(2), "16 bytes, and 8"),
        (lambda m: m.inputs[0].shape.append(-1), "negative"),
        (lambda m: m.inputs[0].parameters["shared_memory_region"].CopyFrom(InferParameter(int64_param=1)), "'x'"),
        (lambda m: m.inputs[0].parameters["shared_memory_offset"].CopyFrom(InferParameter(int64_param=-1)), "'x'"),
        (lambda m: m.parameters["top_k"].CopyFrom(InferParameter()), "no value"),
        (lambda m: m.outputs.add(name="y").parameters["classification"].CopyFrom(InferParameter(int64_param=-1)), "y"),
    ],
)
def test_what_does_not_add_up_is_told(change: Any, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(wrong(change))
    assert told in str(caught.value)


def test_typed_contents_must_fit_their_datatype() -> None:
    message = ModelInferRequest()
    message.inputs.add(name="x", datatype="UINT8", shape=[1]).contents.uint_contents.append(256)
    with pytest.raises(BadInput, match="UINT8"):
        parse(message)


@given(st.binary(max_size=200), st.lists(st.integers(-1, 5), max_size=4), st.sampled_from([*NUMPY_DTYPES, "BF16", "?"]))
def test_random_tensors_are_parsed_or_refused(data: bytes, shape: list[int], datatype: str) -> None:
    message = ModelInferRequest(raw_input_contents=[data])
    message.inputs.add(name="x", datatype=datatype, shape=shape)
    try:
        assert parse(message).inputs["x"].shape == tuple(shape)
    except TidegateError:
        return


def test_tritonclient_reads_the_answer() -> None:
    outputs = {
        "numbers": np.array([[1.5, -2.0]], np.float32),
        "texts": np.array([[b"a", b""]], object),
        "none": np.zeros((0, 3), np.int64),
    }
    message = build_response(InferResponse("m", "3", "id", outputs), {}, REGIONS)
    read = InferResult(ModelInferResponse.FromString(message.SerializeToString()))
    assert (message.model_name, message.model_version, message.id) == ("m", "3", "id")
    for name, array in outputs.items():
        np.testing.assert_array_equal(read.as_numpy(name), array)


def test_a_message_may_not_name_more_than_is_reasonable() -> None:
    message = ModelInferRequest()
    message.inputs.add(name="x", datatype="INT32", shape=[2**20 + 1])
    with pytest.raises(TooLarge, match="raw_input_contents"):
        parse(message)
    for number in range(257):
        message.parameters[str(number)].int64_param = number
    with pytest.raises(BadInput, match="257 parameters"):
        parse(message)
