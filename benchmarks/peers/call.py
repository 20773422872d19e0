"""One request as a peer wants it, how it is sent, and how the class that it names is read from the answer."""

from __future__ import annotations

import base64
import json
import struct
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from benchmarks.contenders import LoadGenerator
from benchmarks.load import Request, run_h2load, run_wrk
from benchmarks.requests import GRPC_METHOD

TIMEOUT_S = 30.0
BOUNDARY = "peers-boundary-7d1f"
HEADER_LENGTH = "Inference-Header-Content-Length"


class NotAnswered(Exception):
    """Nobody there, or an error instead of an answer; the message is what was said."""


@dataclass(frozen=True)
class Reply:
    """What came back; `headers` in small letters."""

    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True)
class Call:
    """`top_class`: the number of the class that an answer names first."""

    generate: LoadGenerator
    send: Callable[[Request], Reply]
    request: Request
    top_class: Callable[[Reply], int]

    def ask(self) -> int:
        """Once, by hand. Raises NotAnswered."""
        reply = self.send(self.request)
        try:
            return self.top_class(reply)
        except Exception as error:
            raise NotAnswered(f"an answer that cannot be read, {error!r}: {reply.body[:200]!r}") from error


def over_http(request: Request, top_class: Callable[[Reply], int]) -> Call:
    return Call(run_wrk, send_http, request, top_class)


def over_grpc(request: Request) -> Call:
    return Call(run_h2load, send_grpc, request, top_of_grpc)


def send_http(request: Request) -> Reply:
    sent = urllib.request.Request(request.url, request.body, request.headers)
    try:
        with urllib.request.urlopen(sent, timeout=TIMEOUT_S) as answer:
            return Reply(answer.read(), {name.lower(): value for name, value in answer.headers.items()})
    except urllib.error.HTTPError as error:
        raise NotAnswered(f"{error.code}: {error.read()[:300]!r}") from error
    except OSError as error:
        raise NotAnswered(str(error)) from error


def send_grpc(request: Request) -> Reply:
    target = request.url.removeprefix("http://").partition("/")[0]
    with grpc.insecure_channel(target) as channel:
        infer = channel.unary_unary(GRPC_METHOD, request_serializer=None, response_deserializer=None)
        try:
            return Reply(infer(request.body, timeout=TIMEOUT_S), {})
        except grpc.RpcError as error:
            raise NotAnswered(f"{error.code()}: {error.details()}") from error


def multipart(url: str, field: str, payload: bytes) -> Request:
    """A form with one file."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="payload"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = head.encode() + payload + f"\r\n--{BOUNDARY}--\r\n".encode()
    return Request(url, body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})


def octets(url: str, payload: bytes) -> Request:
    """The payload and nothing else."""
    return Request(url, payload, {"Content-Type": "application/octet-stream"})


def table_of_base64(url: str, payload: bytes) -> Request:
    """MLflow's table of one row and one column."""
    table = {"columns": ["payload"], "data": [[base64.b64encode(payload).decode()]]}
    return Request(url, json.dumps({"dataframe_split": table}).encode(), {"Content-Type": "application/json"})


def encoded_over_http(url: str, payload: bytes) -> Request:
    """A picture as `encoded_image` BYTES [1, 1] of the Open Inference Protocol, binary."""
    wanted = triton_http.InferInput("encoded_image", [1, 1], "BYTES")
    wanted.set_data_from_numpy(np.array([[payload]], object), binary_data=True)
    body, header_length = triton_http.InferenceServerClient.generate_request_body([wanted])
    return Request(url, body, {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(header_length)})


def encoded_over_grpc(port: int, model: str, payload: bytes) -> Request:
    """The same as a serialized ModelInferRequest."""
    wanted = triton_grpc.service_pb2.ModelInferRequest.InferInputTensor(
        name="encoded_image", datatype="BYTES", shape=[1, 1]
    )
    message = triton_grpc.service_pb2.ModelInferRequest(model_name=model, inputs=[wanted])
    message.raw_input_contents.append(struct.pack("<I", len(payload)) + payload)
    return Request(f"http://127.0.0.1:{port}{GRPC_METHOD}", message.SerializeToString())


def top_of_http(reply: Reply) -> int:
    """From `logits` of the Open Inference Protocol, binary or JSON."""
    length = reply.headers.get(HEADER_LENGTH.lower())
    parsed = triton_http.InferenceServerClient.parse_response_body(
        reply.body, header_length=int(length) if length else None
    )
    return int(np.argmax(parsed.as_numpy("logits")))


def top_of_grpc(reply: Reply) -> int:
    message = triton_grpc.service_pb2.ModelInferResponse.FromString(reply.body)
    return int(np.argmax(triton_grpc.InferResult(message).as_numpy("logits")))


def top_of_classes(reply: Reply) -> int:
    """From what the apps answer: the best classes of one picture, alone, in a list, or where MLflow puts its list."""
    answer: Any = json.loads(reply.body)
    answer = answer.get("predictions", answer) if isinstance(answer, dict) else answer
    answer = answer[0] if isinstance(answer, list) else answer
    return int(answer["class_ids"][0])


def top_of_ours(reply: Reply) -> int:
    """From our own endpoint of classifiers."""
    return int(json.loads(reply.body)["predictions"][0]["classes"][0]["class_id"])
