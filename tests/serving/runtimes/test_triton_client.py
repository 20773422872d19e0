from __future__ import annotations

import math

import grpc
import pytest
from tritonclient.grpc.service_pb2 import ModelInferRequest

from serving.runtimes.triton_client import TritonClient, translated
from tasks.errors import DeadlineExceeded, NotReady, Overloaded, TidegateError


@pytest.mark.parametrize(
    ("code", "details", "expected", "told"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", DeadlineExceeded, "deadline"),
        (grpc.StatusCode.UNAVAILABLE, "Request timeout expired", DeadlineExceeded, "deadline"),
        (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size", Overloaded, "come back later"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "", Overloaded, "come back later"),
        (grpc.StatusCode.UNAVAILABLE, "failed to connect to ipv4:10.0.0.7:8001", NotReady, "Triton does not answer"),
        (
            grpc.StatusCode.UNAVAILABLE,
            "Request for unknown model: 'x' version 1 is not at ready state",
            NotReady,
            "'x'",
        ),
        (grpc.StatusCode.CANCELLED, "Channel closed!", NotReady, "given up"),
        (grpc.StatusCode.INTERNAL, "out of memory", NotReady, "out of memory"),
    ],
)
def test_every_failure_is_one_of_ours(
    code: grpc.StatusCode, details: str, expected: type[TidegateError], told: str
) -> None:
    error = translated(code, details)
    assert type(error) is expected
    assert told in str(error)
    assert "10.0.0.7" not in str(error), "callers are not told where it runs"


def test_where_nobody_listens_nothing_is_waited_for() -> None:
    client = TritonClient("127.0.0.1:1", 20)
    for call in (
        lambda: client.versions("x"),
        lambda: client.parameters("x"),
        lambda: client.infer(ModelInferRequest(model_name="x"), math.inf),
    ):
        with pytest.raises(NotReady, match="Triton does not answer"):
            call()
    client.close()
    with pytest.raises(NotReady):
        client.versions("x")
