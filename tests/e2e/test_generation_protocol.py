"""The Open Inference Protocol's ways to generate, by tritonclient, curl and plain HTTP; the endpoint in our words."""

from __future__ import annotations

import json
import queue
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.http as triton_http

from tests.e2e.conftest import RunningServer

pytestmark = pytest.mark.e2e
PROMPT = "Return the number of items"
GREEDY = {"temperature": 0.0, "max_tokens": 24}


@pytest.fixture
def http(language: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{language.http}", timeout=60) as client:
        yield client


@pytest.fixture
def greedy(http: httpx.Client) -> str:
    """What the model says to the prompt."""
    return str(
        http.post("/v1/models/tiny/generate", json={"prompt": PROMPT, **GREEDY}).json()["predictions"][0]["choices"][0][
            "text"
        ]
    )


def events(text: str) -> list[Any]:
    """Data of server-sent events."""
    blocks = text.split("\n\n")
    assert blocks.pop() == ""
    assert all(block.startswith("data: ") for block in blocks)
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


def text_input(*prompts: str) -> triton.InferInput:
    tensor = triton.InferInput("text_input", [len(prompts)], "BYTES")
    tensor.set_data_from_numpy(np.array([prompt.encode() for prompt in prompts], object))
    return tensor


def stream_of(server: RunningServer, *requests: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Everything that one stream answers, as (result, error)."""
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    with triton.InferenceServerClient(server.grpc) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        for request in requests:
            client.async_stream_infer(**({"model_name": "tiny", "inputs": [text_input(PROMPT)]} | request))
        client.stop_stream()
    return list(answers.queue)


def text_of(result: Any) -> str:
    output = result.as_numpy("text_output")
    return "" if output is None else b"".join(output).decode()


def test_generate_answers_text(http: httpx.Client, greedy: str) -> None:
    request = {"id": "7", "text_input": PROMPT, "parameters": GREEDY | {"stream": False, "priority": 1}}
    answer = http.post("/v2/models/tiny/generate", json=request)
    assert answer.json() == {"id": "7", "model_name": "tiny", "model_version": "1", "text_output": greedy}
    several = http.post("/v2/models/tiny/versions/1/generate", json={"text_input": PROMPT, "parameters": {"n": 2}})
    assert len(several.json()["text_output"]) == 2


def test_generate_stream_answers_in_pieces(http: httpx.Client, greedy: str) -> None:
    answer = http.post("/v2/models/tiny/generate_stream", json={"text_input": PROMPT, "parameters": GREEDY})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    pieces = events(answer.text)
    assert len(pieces) > 5
    assert "".join(piece["text_output"] for piece in pieces) == greedy
    assert pieces[-1]["finish_reason"] == "length"


def test_curl_reads_a_stream(language: RunningServer, require_tool: Callable[[str], str], greedy: str) -> None:
    body = json.dumps({"model": "tiny", "prompt": PROMPT, "stream": True, **GREEDY})
    command = [require_tool("curl"), "-sN", f"http://{language.http}/v1/completions", "-d", body]
    printed = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode()
    *chunks, done = printed.strip().split("\n\n")
    assert done == "data: [DONE]"
    assert "".join(json.loads(chunk.removeprefix("data: "))["choices"][0]["text"] for chunk in chunks) == greedy


def test_the_endpoint_in_our_words(http: httpx.Client, greedy: str) -> None:
    asked = {"prompt": PROMPT, "temperature": 0, "num_beams": 3, "n": 2, "max_tokens": 5}
    best, second = http.post("/v1/models/tiny/generate", json=asked).json()["predictions"][0]["choices"]
    assert best["score"] >= second["score"]
    assert best["text"] != second["text"]
    told = events(http.post("/v1/models/tiny/generate", json={"prompt": PROMPT, "stream": True, **GREEDY}).text)
    assert "".join(piece["text"] for piece in told[:-1]) == greedy
    assert told[-1]["predictions"][0]["choices"][0]["text"] == greedy
    assert told[-1]["usage"]["completion_tokens"] == 24


def test_inference_takes_prompts_as_bytes(language: RunningServer, greedy: str) -> None:
    outputs = ("text_output", "finish_reason", "num_tokens", "score")
    with triton.InferenceServerClient(language.grpc) as client:
        answer = client.infer("tiny", [text_input(PROMPT, PROMPT)], parameters=GREEDY)
    assert answer.as_numpy("text_output").tolist() == [greedy.encode()] * 2
    assert [answer.as_numpy(name).shape for name in outputs] == [(2,)] * 4
    tensor = triton_http.InferInput("text_input", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([PROMPT.encode()], object))
    wanted = [triton_http.InferRequestedOutput("text_output")]
    with triton_http.InferenceServerClient(language.http) as client:
        answer = client.infer("tiny", [tensor], outputs=wanted, parameters=GREEDY | {"n": 3})
    assert answer.as_numpy("text_output").tolist() == [greedy.encode()] * 3
    assert answer.as_numpy("score") is None


def test_metadata_says_how_to_ask(language: RunningServer) -> None:
    with triton.InferenceServerClient(language.grpc) as client:
        described = client.get_model_metadata("tiny")
        config = client.get_model_config("tiny").config
    assert [(one.name, one.datatype) for one in described.inputs] == [("text_input", "BYTES")]
    assert "text_output" in [one.name for one in described.outputs]
    assert config.model_transaction_policy.decoupled
    assert config.max_batch_size == 0


@pytest.mark.parametrize("ends_empty", [False, True])
def test_a_grpc_stream_answers_token_by_token(language: RunningServer, greedy: str, ends_empty: bool) -> None:
    request = {"request_id": "1", "parameters": GREEDY, "enable_empty_final_response": ends_empty}
    answers = stream_of(language, request)
    assert all(error is None for _, error in answers)
    assert len(answers) > 5
    assert "".join(text_of(result) for result, _ in answers) == greedy
    finals = [result.get_response().parameters["triton_final_response"].bool_param for result, _ in answers]
    assert finals == [False] * (len(finals) - 1) + [True]
    assert (len(answers[-1][0].get_response().outputs) == 0) == ends_empty
    last = answers[-2 if ends_empty else -1][0].get_response()
    assert last.parameters["finish_reason"].string_param == "length"
    assert {result.get_response().id for result, _ in answers} == {"1"}


def test_requests_of_one_stream_are_answered_side_by_side(language: RunningServer, greedy: str) -> None:
    long = {"request_id": "long", "parameters": GREEDY | {"max_tokens": 300, "ignore_end": True}}
    short = {"request_id": "short", "parameters": GREEDY}
    bad = {"request_id": "bad", "parameters": {"max_tokens": 0}}
    unknown = {"request_id": "unknown", "model_name": "nobody"}
    answers = stream_of(language, long, bad, short, unknown)
    told = {error.get_response().id if hasattr(error, "get_response") else str(error) for _, error in answers if error}
    assert len([error for _, error in answers if error]) == 2, told
    ids = [result.get_response().id for result, error in answers if error is None]
    texts = {one: "".join(text_of(r) for r, e in answers if e is None and r.get_response().id == one) for one in ids}
    assert texts["short"] == greedy
    assert texts["long"].startswith(greedy)
    assert ids.index("short") < len(ids) - 1 - ids[::-1].index("long")  # it did not have to wait


def test_several_answers_over_grpc_say_which_they_are(language: RunningServer) -> None:
    answers = stream_of(language, {"parameters": {"n": 2, "seed": 1, "max_tokens": 8}})
    choices = {result.get_response().parameters["choice"].int64_param for result, _ in answers}
    assert choices == {0, 1}
    assert answers[-1][0].get_response().parameters["triton_final_response"].bool_param


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v2/models/tiny/generate", {"text_input": ""}, 400),
        ("/v2/models/tiny/generate", {}, 400),
        ("/v2/models/tiny/generate", {"text_input": 1}, 400),
        ("/v2/models/tiny/generate", {"text_input": "a", "parameters": {"nonsense": 1}}, 400),
        ("/v2/models/tiny/generate_stream", {"text_input": "a", "parameters": {"temperature": -1}}, 400),
        ("/v2/models/tiny/generate", {"text_input": "a", "parameters": {"timeout": -1}}, 400),
        ("/v2/models/nobody/generate", {"text_input": "a"}, 404),
        ("/v2/models/colours/generate", {"text_input": "a"}, 501),
        ("/v1/models/tiny/generate", {"prompt": "a", "stream": "yes"}, 400),
        ("/v1/models/tiny/generate", {"prompt": 7}, 400),
        ("/v1/models/tiny/generate", {"prompt": "a" * 100_000}, 400),
        ("/v1/models/tiny/generate", {"prompt": "a" * 300_000}, 413),
        ("/v1/models/tiny/caption", {"prompt": "a"}, 404),
        ("/v1/models/colours/generate", {"prompt": "a"}, 404),
    ],
)
def test_refusals_say_why_before_anything_is_streamed(http: httpx.Client, path: str, body: Any, status: int) -> None:
    answer = http.post(path, json=body)
    assert answer.status_code == status
    assert isinstance(answer.json()["error"], str)


@pytest.mark.parametrize("path", ["/v2/models/tiny/generate", "/v1/models/tiny/generate", "/v1/completions"])
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"prompt": "\xff"}', b"[" * 100_000, b'{"model":"tiny"}']
)
def test_what_is_no_request_is_a_400(http: httpx.Client, path: str, body: bytes) -> None:
    answer = http.post(path, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
