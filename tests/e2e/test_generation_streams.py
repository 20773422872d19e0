"""Streams that are left, read slowly, refused, or disturbed by what others send."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import tritonclient.grpc as triton

from tests.e2e.conftest import RunningServer, start_server
from tests.e2e.hostile_requests import mutations
from tests.tiny_language import build_language_package

pytestmark = pytest.mark.e2e
LONG = {"model": "slow", "prompt": "Return", "max_tokens": 8000, "stream": True, "ignore_end": True, "seed": 1}
COMPLETIONS = "/v1/completions"


def metric(server: RunningServer, name: str, label: str = "") -> float:
    """Of the slow model."""
    with urllib.request.urlopen(f"http://{server.metrics}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    found = [line for line in lines if line.startswith(f'tidegate_{name}{{model="slow"') and label in line]
    return sum(float(line.rpartition(" ")[2]) for line in found)


def eventually(condition: Callable[[], bool], timeout_s: float = 120.0) -> None:
    expires_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < expires_at, "it did not happen"
        time.sleep(0.02)


def running(server: RunningServer) -> float:
    return metric(server, "running_sequences")


@pytest.fixture
def http(language: RunningServer) -> Iterator[httpx.Client]:
    eventually(lambda: running(language) == 0)
    with httpx.Client(base_url=f"http://{language.http}", timeout=60) as client:
        yield client


def test_who_leaves_a_stream_frees_its_slot(language: RunningServer, http: httpx.Client) -> None:
    cancelled = metric(language, "generation_unanswered_total", 'outcome="cancelled"')
    with http.stream("POST", COMPLETIONS, json=LONG) as answer:
        lines = answer.iter_lines()  # a name, for the response is closed with it
        next(lines)
        assert running(language) == 1
    eventually(lambda: running(language) == 0)
    eventually(lambda: metric(language, "generation_unanswered_total", 'outcome="cancelled"') == cancelled + 1)


def test_who_leaves_before_the_answer_frees_its_slot(language: RunningServer) -> None:
    cancelled = metric(language, "generation_unanswered_total", 'outcome="cancelled"')
    body = json.dumps(LONG | {"stream": False}).encode()
    head = f"POST {COMPLETIONS} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    host, port = language.http.split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head + body)
        eventually(lambda: running(language) == 1)
    eventually(lambda: running(language) == 0)
    eventually(lambda: metric(language, "generation_unanswered_total", 'outcome="cancelled"') == cancelled + 1)


def test_a_grpc_client_who_leaves_frees_its_slot(language: RunningServer, http: httpx.Client) -> None:
    first = []
    tensor = triton.InferInput("text_input", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([b"Return"], object))
    client = triton.InferenceServerClient(language.grpc)
    client.start_stream(lambda result, error: first.append(result))
    client.async_stream_infer("slow", [tensor], parameters={"max_tokens": 8000, "ignore_end": True})
    eventually(lambda: bool(first))
    assert running(language) == 1
    client.stop_stream(cancel_requests=True)
    client.close()
    eventually(lambda: running(language) == 0)


def test_who_reads_slowly_keeps_nobody_waiting(language: RunningServer, http: httpx.Client) -> None:
    """Its answer is made and waits; neither the other slot nor the server's memory suffers."""
    before = language.resident_bytes()
    body = json.dumps(LONG | {"max_tokens": 3000, "logprobs": 20}).encode()
    head = f"POST {COMPLETIONS} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    host, port = language.http.split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(head + body)
        eventually(lambda: running(language) == 1)
        quick = http.post(COMPLETIONS, json=LONG | {"stream": False, "max_tokens": 50})
        assert quick.json()["usage"]["completion_tokens"] == 50
        eventually(lambda: running(language) == 0)  # generated to its end, although nobody read
        assert language.resident_bytes() - before < 100_000_000


def test_too_many_are_told_to_come_back(language: RunningServer) -> None:
    async def ask() -> list[Any]:
        async with openai.AsyncOpenAI(base_url=f"http://{language.http}/v1", api_key="none", max_retries=0) as client:
            asked = {**LONG, "max_tokens": 300}
            ignore_end, stream = asked.pop("ignore_end"), asked.pop("stream")
            assert stream
            calls = [client.completions.create(**asked, extra_body={"ignore_end": ignore_end}) for _ in range(30)]  # type: ignore[call-overload]
            return await asyncio.gather(*calls, return_exceptions=True)

    answers = asyncio.run(ask())
    refused = [one for one in answers if isinstance(one, openai.RateLimitError)]
    answered = [one for one in answers if not isinstance(one, Exception)]
    assert len(refused) + len(answered) == 30
    assert refused
    assert answered
    assert len({one.choices[0].text for one in answered}) == 1  # one seed, one text, whatever else went on
    assert all(int(one.response.headers["retry-after"]) >= 1 for one in refused)


def test_a_stream_ends_with_an_error_when_its_time_is_up(http: httpx.Client) -> None:
    # At first less than a machine needs to fill the context, and more only on one that needs it for the first token.
    for timeout_us in (500_000, 5_000_000, 30_000_000):
        parameters = {"max_tokens": 8000, "ignore_end": True, "timeout": timeout_us}
        request = {"text_input": "Return", "parameters": parameters}
        answer = http.post("/v2/models/slow/generate_stream", json=request)
        if answer.status_code != 504:
            break
    assert answer.status_code == 200  # it had begun
    *pieces, last = [json.loads(block.removeprefix("data: ")) for block in answer.text.strip().split("\n\n")]
    assert pieces
    assert all("text_output" in piece for piece in pieces)
    assert "deadline" in last["error"]
    whole = http.post("/v2/models/slow/generate", json=request)
    assert whole.status_code == 504


def text(answer: httpx.Response) -> Iterator[str]:
    """Of a streamed completion, piece by piece."""
    for line in answer.iter_lines():
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))["choices"][0]["text"]


REFUSED: dict[str, dict[str, Any] | bytes] = {
    "an empty prompt": {"prompt": ""},
    "a prompt longer than the context": {"prompt": "word " * 30_000},
    "invalid UTF-8": b'{"model": "slow", "prompt": "\xff\xfe"}',
    "half a character": b'{"model": "slow", "prompt": "\\ud800"}',
    "a schema that is none": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "nonsense"}}}
    },
    "a schema that refers to nowhere": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"$ref": "#/nowhere"}}}
    },
    "an expression that does not end": {"regex": "(" * 10_000},
    "beams that sample": {"num_beams": 2, "top_k": 5},
    "more answers than beams": {"num_beams": 2, "n": 3},
    "two forms at once": {"regex": "a", "response_format": {"type": "json_object"}},
    "fewer made than answered": {"best_of": 1, "n": 2},
    "ten thousand stop texts": {"stop": ["x"] * 10_000},
}
"""What nobody can answer: fields of a completion, or all of its body."""


def test_what_can_not_be_right_is_refused_beside_a_stream_of_the_same_model(
    language: RunningServer, http: httpx.Client
) -> None:
    asked = LONG | {"max_tokens": 1500, "seed": 12}
    with http.stream("POST", COMPLETIONS, json=asked) as answer:
        undisturbed = "".join(text(answer))
    with (
        http.stream("POST", COMPLETIONS, json=asked) as answer,
        httpx.Client(base_url=http.base_url, timeout=60) as other,
    ):
        pieces = text(answer)
        collected = [next(pieces)]
        for what, wrong in REFUSED.items():
            whole = {"model": "slow", "prompt": "Return", "max_tokens": 2}
            body = wrong if isinstance(wrong, bytes) else json.dumps(whole | wrong).encode()
            refusal = other.post(COMPLETIONS, content=body, timeout=60)
            assert refusal.status_code == 400, what
            assert len(refusal.json()["error"]["message"]) in range(10, 2000), what
        assert running(language) == 1, "the stream was still being written"
        collected += list(pieces)
    assert "".join(collected) == undisturbed


def test_nothing_that_others_send_disturbs_a_stream(language: RunningServer, http: httpx.Client) -> None:
    asked = LONG | {"max_tokens": 1500, "seed": 11}
    with http.stream("POST", COMPLETIONS, json=asked) as answer:
        undisturbed = "".join(text(answer))
    with (
        http.stream("POST", COMPLETIONS, json=asked) as answer,
        httpx.Client(base_url=http.base_url, timeout=60) as other,
    ):
        pieces = text(answer)
        collected = [next(pieces)]
        statuses = set()
        for path, body in hostile_requests():
            statuses.add(other.post(path, content=body, timeout=60).status_code)
        collected += list(pieces)
    assert statuses <= {200, 400, 404, 413}
    assert {400, 404, 413} <= statuses
    assert "".join(collected) == undisturbed


def hostile_requests() -> Iterator[tuple[str, bytes]]:
    """Ways to get a request wrong; some of them turn out to be right."""
    named = {"name": "n", "schema": {"type": "object"}}
    asked = {"model": "tiny", "max_tokens": 2, "stop": ["x"], "logit_bias": {"5": 1.0}}
    asked |= {"response_format": {"type": "json_schema", "json_schema": named}}
    talk = {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}], "logprobs": True}
    wholes = {
        COMPLETIONS: asked | {"prompt": "a", "n": 2},
        "/v1/chat/completions": asked | talk,
        "/v1/models/tiny/generate": {"prompt": "a", "max_tokens": 2, "regex": "a+", "seed": 1},
        "/v2/models/tiny/generate_stream": {"text_input": "a", "parameters": {"max_tokens": 2, "timeout": 10**7}},
    }
    for path, whole in wholes.items():
        for changed in mutations(whole):
            yield path, json.dumps(changed).encode()
    for field, value in (
        ("stop", ["x"] * 10_000),
        ("prompt", ""),
        ("prompt", "word " * 30_000),
        ("prompt", "word " * 60_000),
        ("prompt", [[]] * 60_000),
        ("max_tokens", 10**30),
        ("regex", "(" * 10_000),
        ("regex", "(a{1,1000}){1,1000}"),
        ("response_format", {"type": "json_schema", "json_schema": named | {"schema": {"$ref": "#/nowhere"}}}),
        ("tools", [{}] * 40_000),
    ):
        yield COMPLETIONS, json.dumps(wholes[COMPLETIONS] | {field: value}).encode()
    yield COMPLETIONS, b'{"model": "tiny", "prompt": "\xff\xfe"}'
    yield COMPLETIONS, b'{"model": "tiny", "prompt": "\\ud800"}'
    yield COMPLETIONS, b"[" * 100_000
    deep = b'{"type":"array","items":' * 5_000 + b"{}" + b"}" * 5_000
    yield (
        COMPLETIONS,
        b'{"model":"tiny","prompt":"a","response_format":{"type":"json_schema","json_schema":{"name":"n","schema":'
        + deep
        + b"}}}",
    )


def test_a_server_that_stops_lets_streams_come_to_their_end(tmp_path: Path) -> None:
    package = build_language_package(tmp_path / "slow", name="slow", context=4096, width=256, depth=4, num_golden=1)
    with start_server(tmp_path / "server", [package], DRAIN_TIMEOUT_S="60") as server:
        asked = LONG | {"max_tokens": 500}
        with httpx.stream("POST", f"http://{server.http}{COMPLETIONS}", json=asked, timeout=60) as answer:
            lines = answer.iter_lines()
            next(lines)
            os.kill(server.pid, signal.SIGTERM)
            *_, last = [line for line in lines if line]
        assert last == "data: [DONE]"
