import base64
import email
import json
import struct

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc

from benchmarks.load import Request
from benchmarks.peers.call import (
    Call,
    NotAnswered,
    Reply,
    encoded_over_grpc,
    encoded_over_http,
    multipart,
    over_http,
    table_of_base64,
    top_of_classes,
    top_of_grpc,
    top_of_http,
    top_of_ours,
)

PAYLOAD = bytes(range(256))
LOGITS = np.array([[0.1, 0.7, 0.2]], np.float32)


@pytest.mark.parametrize(
    "answer",
    [
        {"class_ids": [3, 1], "scores": [0.9, 0.1]},
        [{"class_ids": [3, 1], "scores": [0.9, 0.1]}],
        {"predictions": [{"class_ids": [3, 1], "scores": [0.9, 0.1]}]},
    ],
)
def test_the_best_class_is_found_wherever_a_peer_puts_its_answer(answer: object) -> None:
    assert top_of_classes(Reply(json.dumps(answer).encode(), {})) == 3


def test_the_best_class_of_our_own_endpoint_is_the_first_that_it_lists() -> None:
    answer = {"predictions": [{"classes": [{"label": "cat", "class_id": 5, "score": 0.8}], "entropy": 0.1}]}
    assert top_of_ours(Reply(json.dumps(answer).encode(), {})) == 5


def test_logits_are_read_from_binary_answers_and_from_json() -> None:
    output = {"name": "logits", "datatype": "FP32", "shape": [1, 3]}
    as_json = json.dumps({"outputs": [{**output, "data": LOGITS.ravel().tolist()}]}).encode()
    header = json.dumps({"outputs": [{**output, "parameters": {"binary_data_size": LOGITS.nbytes}}]}).encode()
    binary = Reply(header + LOGITS.tobytes(), {"inference-header-content-length": str(len(header))})
    assert top_of_http(Reply(as_json, {})) == top_of_http(binary) == 1


def test_logits_are_read_from_a_grpc_answer() -> None:
    message = triton_grpc.service_pb2.ModelInferResponse(model_name="any", raw_output_contents=[LOGITS.tobytes()])
    message.outputs.add(name="logits", datatype="FP32", shape=[1, 3])
    assert top_of_grpc(Reply(message.SerializeToString(), {})) == 1


def test_a_form_holds_the_payload_as_one_file() -> None:
    request = multipart("http://127.0.0.1:1/tensors", "files", PAYLOAD)
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    (part,) = email.message_from_bytes(head + request.body).walk().__next__().get_payload()
    assert part.get_param("name", header="Content-Disposition") == "files"
    assert part.get_payload(decode=True) == PAYLOAD


def test_a_table_holds_the_payload_as_base64() -> None:
    table = json.loads(table_of_base64("http://127.0.0.1:1/invocations", PAYLOAD).body)["dataframe_split"]
    assert table["columns"] == ["payload"]
    assert base64.b64decode(table["data"][0][0]) == PAYLOAD


def test_an_encoded_picture_is_the_same_string_tensor_over_http_and_over_grpc() -> None:
    element = struct.pack("<I", len(PAYLOAD)) + PAYLOAD
    http = encoded_over_http("http://127.0.0.1:1/v2/models/m/infer", PAYLOAD)
    header_length = int(http.headers["Inference-Header-Content-Length"])
    (sent,) = json.loads(http.body[:header_length])["inputs"]
    assert (sent["datatype"], sent["shape"]) == ("BYTES", [1, 1])
    assert http.body[header_length:] == element
    message = triton_grpc.service_pb2.ModelInferRequest.FromString(encoded_over_grpc(1, "m", PAYLOAD).body)
    assert (message.inputs[0].datatype, list(message.inputs[0].shape)) == ("BYTES", [1, 1])
    assert list(message.raw_input_contents) == [element]


def test_an_answer_that_names_no_class_is_no_answer() -> None:
    asked = over_http(Request("http://127.0.0.1:1/", b""), top_of_classes)
    call = Call(asked.generate, lambda request: Reply(b'{"detail": "busy"}', {}), asked.request, asked.top_class)
    with pytest.raises(NotAnswered, match="busy"):
        call.ask()


def test_nobody_there_is_no_answer() -> None:
    with pytest.raises(NotAnswered):
        over_http(Request("http://127.0.0.1:1/", b"x"), top_of_classes).ask()
