"""Everything a client can get wrong, on purpose or not, again and again against one real server process.

Each request must be answered with a reason and without a fault of the server's; afterwards nothing may be left of it:
no work, no memory, no label, no line in the log.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator
from http.client import HTTPConnection

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tritonclient.grpc import service_pb2

from tests.e2e.conftest import RunningServer
from tests.e2e.hostile_requests import (
    FILLER,
    Request,
    bad_addresses,
    bad_files,
    bad_forms,
    bad_messages,
    bad_tensors,
    mutated_requests,
)
from tests.handmade import encoded
from tests.serving.wire import CLASSIFY

pytestmark = pytest.mark.e2e
REFUSALS = {400, 404, 405, 413, 429, 431, 501, 503, 504}
GRPC_REFUSALS = {"INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED", "PERMISSION_DENIED"}
GRPC_REFUSALS |= {"DEADLINE_EXCEEDED"}
MAX_ERROR_BYTES = 4000
WARM_UP_ROUNDS, ROUNDS = 2, 4
GROWTH_BYTES = 50_000_000
"""What the measured rounds may add: their bodies are some 200 MB together."""


def send_all(server: RunningServer, requests: Iterator[Request]) -> int:
    """Each must be answered, and if it is refused then with a reason. How many were."""
    host, port = server.http.split(":")
    connection = HTTPConnection(host, int(port), timeout=30)
    num_refused = 0
    for method, path, headers, body in requests:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        told = f"{method} {path[:80]} {headers} {body[:80]!r}: {answer.status} {content[:200]!r}"
        assert answer.headers["x-request-id"], told
        if answer.status == 200:
            continue
        num_refused += 1
        assert answer.status in REFUSALS, told
        assert len(content) < MAX_ERROR_BYTES, told
        refusal = json.loads(content)
        assert list(refusal) == ["error"], told
        assert refusal["error"], told
    connection.close()
    return num_refused


def call_all(server: RunningServer) -> None:
    """Every bad message by itself, and all of them in one stream, which must answer each."""
    messages = list(bad_messages())
    with grpc.insecure_channel(server.grpc) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for message in messages:
            with pytest.raises(grpc.RpcError) as caught:
                infer(message, timeout=30)
            assert caught.value.code().name in GRPC_REFUSALS, (message[:80], caught.value)
            assert caught.value.details()
        stream = channel.stream_stream(
            "/inference.GRPCInferenceService/ModelStreamInfer",
            response_deserializer=service_pb2.ModelStreamInferResponse.FromString,
        )
        answers = list(stream(iter(messages), timeout=30))
        assert len(answers) == len(messages)
        assert all(answer.error_message for answer in answers)


def leave_all(server: RunningServer) -> None:
    """Clients that go while they send, while they wait, and between two pipelined requests."""
    host, port = server.http.split(":")
    payload = encoded(1, "PNG", 700, 700)
    request = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (
        CLASSIFY.encode(),
        len(payload),
        payload,
    )
    for sent in (request[:1000], request, request * 3):
        for _ in range(5):
            with socket.create_connection((host, int(port)), timeout=30) as client:
                client.sendall(sent)
    with grpc.insecure_channel(server.grpc) as channel:
        message = service_pb2.ModelInferRequest(model_name="colours", raw_input_contents=[_length_prefixed(payload)])
        message.inputs.add(name="encoded_image", datatype="BYTES", shape=[1])
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        calls = [infer.future(message.SerializeToString(), timeout=30) for _ in range(5)]
        time.sleep(0.05)
        for call in calls:
            call.cancel()


def _length_prefixed(payload: bytes) -> bytes:
    return struct.pack("<I", len(payload)) + payload


def hostile_round(server: RunningServer) -> None:
    for requests in (bad_files(), bad_forms(), bad_tensors(), bad_addresses()):
        assert send_all(server, requests) > 5
    assert send_all(server, mutated_requests()) > 200
    call_all(server)
    leave_all(server)


def scrape(server: RunningServer) -> list[tuple[str, dict[str, str], float]]:
    """Name, labels and value of every sample."""
    host, port = server.metrics.split(":")
    connection = HTTPConnection(host, int(port), timeout=30)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def request_series(samples: list[tuple[str, dict[str, str], float]]) -> set[tuple[object, ...]]:
    """Every series but those of drift, which come with the first picture that is looked at, some time later."""
    late = ("tidegate_drift", "tidegate_signal")
    return {(name, *labels.items()) for name, labels, _ in samples if not name.startswith(late)}


def wait_until_idle(server: RunningServer) -> None:
    """Nothing may be in flight or queued once everybody has left."""
    gauges = ("tidegate_in_flight_requests", "tidegate_queue_depth")
    expires_at = time.monotonic() + 120
    while any(value for name, _, value in scrape(server) if name in gauges):
        assert time.monotonic() < expires_at, "work of clients that left goes on"
        time.sleep(0.1)


def test_hostile_clients_leave_nothing_behind(server: RunningServer) -> None:
    known = len(server.errors)
    for _ in range(WARM_UP_ROUNDS):
        hostile_round(server)
    wait_until_idle(server)
    series = request_series(scrape(server))
    before = server.resident_bytes()
    for _ in range(ROUNDS):
        hostile_round(server)
    wait_until_idle(server)
    assert server.resident_bytes() - before < GROWTH_BYTES
    samples = scrape(server)
    assert request_series(samples) == series
    assert {labels.get("model", "") for _, labels, _ in samples} == {"", "colours"}
    assert not [line for line in server.errors[known:] if line["level"] != "info" or "exception" in line]


def test_a_refused_message_is_freed_at_once(server: RunningServer) -> None:
    """Were it kept in a reference cycle, it would stay until so many objects (not bytes) had gathered."""
    message = service_pb2.ModelInferRequest(model_name="colours", raw_input_contents=[FILLER])
    message.inputs.add(name="image", datatype="UINT8", shape=[1, 32, 32, 3])
    data = message.SerializeToString()
    with grpc.insecure_channel(server.grpc) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")

        def refuse(num_times: int) -> None:
            for _ in range(num_times):
                with pytest.raises(grpc.RpcError, match="3072 bytes"):
                    infer(data, timeout=30)

        refuse(10)
        before = server.resident_bytes()
        refuse(60)
        assert server.resident_bytes() - before < 20 * len(FILLER)


def test_a_connection_to_the_metrics_port_costs_no_thread(server: RunningServer) -> None:
    host, port = server.metrics.split(":")
    before = server.num_threads()
    held = [socket.create_connection((host, int(port)), timeout=30) for _ in range(100)]
    try:
        assert scrape(server)
        assert server.num_threads() < before + 20
    finally:
        for connection in held:
            connection.close()
