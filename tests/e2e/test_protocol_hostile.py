"""Clients that lie, stall, flood or leave, against a real server process, which must answer the next one as before."""

from __future__ import annotations

import contextlib
import gzip
import json
import resource
import socket
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import MAX_BODY_BYTES, RunningServer
from tests.handmade import encoded

pytestmark = pytest.mark.e2e
NUM_IDLE = 2000
GROWTH_BYTES = 150_000_000
CLASSIFY = "/v1/models/colours/classify"
INFER = "/v2/models/colours/infer"


@contextlib.contextmanager
def connection(server: RunningServer) -> Iterator[socket.socket]:
    host, port = server.http.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as made:
        yield made


def answer_to(server: RunningServer, sent: bytes) -> tuple[int, dict[str, Any]]:
    """Status and JSON body of the first answer to these bytes."""
    with connection(server) as made:
        made.sendall(sent)
        answer = HTTPResponse(made)
        answer.begin()
        return answer.status, json.loads(answer.read())


def request(path: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode() + body


def classify(server: RunningServer) -> int:
    return httpx.post(f"http://{server.http}{CLASSIFY}", content=encoded(1), timeout=30, trust_env=False).status_code


def test_an_endless_body_is_refused_while_it_is_sent(server: RunningServer) -> None:
    before = server.resident_bytes()
    sent = 0
    with connection(server) as made:
        made.sendall(request(CLASSIFY, "Transfer-Encoding: chunked"))
        chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        with contextlib.suppress(ConnectionError):
            while sent < 100 * MAX_BODY_BYTES:
                made.sendall(chunk)
                sent += len(chunk)
        with contextlib.suppress(ConnectionError):
            assert made.recv(100).startswith(b"HTTP/1.1 413")
    assert server.resident_bytes() - before < GROWTH_BYTES


@pytest.mark.parametrize(
    "start",
    [
        b"POST ",
        request(CLASSIFY)[:-4] + b"\r\nX-Long: ",
        request(CLASSIFY, "Transfer-Encoding: chunked", body=b"1\r\nx\r\n0\r\nX-Trailer: "),
    ],
)
def test_an_endless_header_is_refused(server: RunningServer, start: bytes) -> None:
    before, sent = server.resident_bytes(), 0
    with connection(server) as made:
        made.sendall(start)
        with contextlib.suppress(ConnectionError):
            while sent < 100_000_000:
                made.sendall(b"x" * 1_000_000)
                sent += 1_000_000
    assert sent < 100_000_000
    assert server.resident_bytes() - before < GROWTH_BYTES


@pytest.mark.parametrize(
    "sent",
    [
        request(CLASSIFY, "Content-Length: -1"),
        request(CLASSIFY, "Content-Length: abc"),
        request(CLASSIFY, "Content-Length: 1", "Content-Length: 2", body=b"x"),
        request(CLASSIFY, "Content-Length: 1", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        request(INFER, "Content-Length: 2", "Inference-Header-Content-Length: 9", body=b"{}"),
        request(INFER, "Content-Length: 2", "Inference-Header-Content-Length: 2,2", body=b"{}"),
        b"\x00\x01\x02 garbage\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ],
)
def test_lies_about_lengths_and_broken_requests_are_400(server: RunningServer, sent: bytes) -> None:
    status, body = answer_to(server, sent)
    assert status == 400
    assert body["error"]


def test_a_body_shorter_than_promised_costs_nobody_anything(server: RunningServer) -> None:
    with connection(server) as made:
        made.sendall(request(CLASSIFY, "Content-Length: 1000", body=b"x"))
    assert classify(server) == 200


def test_bombs_are_refused(server: RunningServer) -> None:
    before = server.resident_bytes()
    bomb = gzip.compress(bytes(500_000_000), 1)
    for _ in range(3):
        answer = httpx.post(
            f"http://{server.http}{CLASSIFY}",
            content=bomb[: MAX_BODY_BYTES - 1],
            headers={"Content-Encoding": "gzip"},
            timeout=60,
            trust_env=False,
        )
        assert answer.status_code == 413
    assert server.resident_bytes() - before < GROWTH_BYTES


def test_clients_that_leave_while_they_wait_cost_nobody_anything(server: RunningServer) -> None:
    payload = encoded(1, "PNG", 700, 700)
    sent = request(CLASSIFY, f"Content-Length: {len(payload)}", body=payload)
    for _ in range(50):
        with connection(server) as made:
            made.sendall(sent)
    assert classify(server) == 200


@contextlib.contextmanager
def open_files(number: int) -> Iterator[None]:
    """Allow this process so many; skip the test where the system forbids it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < number:
        pytest.skip(f"this system allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, number), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_thousands_of_idle_connections_block_nobody(server: RunningServer) -> None:
    with open_files(NUM_IDLE + 200), contextlib.ExitStack() as idle:
        for index in range(NUM_IDLE):
            made = idle.enter_context(connection(server))
            if index % 2:
                made.sendall(b"POST /v1/models/colours/classify HTTP/1.1\r\nHost: x\r\n")
        started_at = time.monotonic()
        assert [classify(server) for _ in range(20)] == [200] * 20
        assert time.monotonic() - started_at < 20
