"""A server that has its language model from another server of this project."""

from __future__ import annotations

import json
import os
import queue
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import tritonclient.grpc as triton

from tests.e2e.conftest import RunningServer, start_server, unharmed
from tests.e2e.test_generation_streams import LONG, eventually, metric, running
from tests.handmade import Handmade, build_package
from tests.tiny_language import build_language_package

pytestmark = pytest.mark.e2e
PROMPT = "Return the number of items"
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 20}
TALK = [{"role": "user", "content": "What is in the list?"}]


@dataclass(frozen=True)
class Pair:
    """`near` has its models `far` (as tiny) and `slow` from `back`, and `lost` from nobody."""

    near: RunningServer
    back: RunningServer


@pytest.fixture(scope="session")
def servers(language_server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("upstream")
    package = build_language_package(folder / "reference", name="reference")
    url = f"http://{language_server.http}/v1"
    declared = {
        "far": {"url": url, "model": "tiny", "profile": str(package.folder / "fp32" / "profile.json")},
        "slow": {"url": url, "max_in_flight": 2},
        "misnamed": {"url": url, "model": "nobody"},
        "lost": {"url": "http://127.0.0.1:9/v1"},
    }
    settings = {"UPSTREAMS": json.dumps(declared), "POLL_INTERVAL_S": "0.5"}
    with start_server(folder, [build_package(folder / "colours", Handmade())], **settings) as near:
        yield Pair(near, language_server)


@pytest.fixture
def pair(servers: Pair) -> Iterator[Pair]:
    with unharmed(servers.back):
        yield servers
    assert servers.near.is_ready()


@pytest.fixture
def near(pair: Pair) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://{pair.near.http}/v1", api_key="none", max_retries=0)


@pytest.fixture
def back(pair: Pair) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://{pair.back.http}/v1", api_key="none", max_retries=0)


def test_what_is_answered_there_is_answered_here(near: openai.OpenAI, back: openai.OpenAI) -> None:
    asked = {"prompt": PROMPT, "logprobs": 1, **GREEDY}
    here, there = near.completions.create(model="far", **asked), back.completions.create(model="tiny", **asked)
    assert here.model == "far"
    assert here.choices[0].text == there.choices[0].text
    assert here.choices[0].logprobs is not None
    assert here.usage is not None
    assert here.usage.completion_tokens == 20
    talked = [
        client.chat.completions.create(model=model, messages=TALK, n=2, **GREEDY)
        for client, model in ((near, "far"), (back, "tiny"))
    ]
    assert [one.message.content for one in talked[0].choices] == [one.message.content for one in talked[1].choices]


@pytest.mark.parametrize("wants_usage", [False, True])
def test_a_stream_is_passed_on_chunk_by_chunk(near: openai.OpenAI, back: openai.OpenAI, wants_usage: bool) -> None:
    asked: dict[str, Any] = {"prompt": PROMPT, "stream": True, **GREEDY}
    if wants_usage:
        asked["stream_options"] = {"include_usage": True}
    here = list(near.completions.create(model="far", **asked))
    there = list(back.completions.create(model="tiny", **asked))
    assert {chunk.model for chunk in here} == {"far"}
    assert [chunk.choices for chunk in here] == [chunk.choices for chunk in there]
    assert [chunk.usage for chunk in here] == [chunk.usage for chunk in there]


def test_chunks_come_while_the_rest_is_being_made_and_leaving_ends_it(pair: Pair) -> None:
    with httpx.stream("POST", f"http://{pair.near.http}/v1/completions", json=LONG, timeout=60) as answer:
        lines = answer.iter_lines()
        next(lines)
        assert running(pair.back) == 1
    eventually(lambda: running(pair.back) == 0)
    eventually(lambda: metric(pair.near, "generation_unanswered_total", 'outcome="cancelled"') >= 1)


def test_leaving_before_the_answer_ends_it_there_too(pair: Pair) -> None:
    impatient = httpx.Timeout(60, read=1.0)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"http://{pair.near.http}/v1/completions", json=LONG | {"stream": False}, timeout=impatient)
    eventually(lambda: running(pair.back) == 0)


def test_the_other_endpoints_answer_from_there_as_well(pair: Pair, back: openai.OpenAI) -> None:
    text = back.completions.create(model="tiny", prompt=PROMPT, **GREEDY).choices[0].text
    with httpx.Client(base_url=f"http://{pair.near.http}", timeout=60) as http:
        asked = {"prompt": PROMPT, **GREEDY}
        choice = http.post("/v1/models/far/generate", json=asked).json()["predictions"][0]["choices"][0]
        assert choice == {"text": text, "finish_reason": "length", "num_tokens": 20, "score": 0.0}
        *pieces, _ = http.post("/v1/models/far/generate", json=asked | {"stream": True}).text.strip().split("\n\n")
        assert "".join(json.loads(piece.removeprefix("data: "))["text"] for piece in pieces) == text
        generated = http.post("/v2/models/far/generate", json={"text_input": PROMPT, "parameters": GREEDY})
        assert generated.json()["text_output"] == text
        assert http.get("/v2/models/far").json()["inputs"][0]["name"] == "text_input"
    tensor = triton.InferInput("text_input", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([PROMPT.encode()], object))
    answers: queue.Queue[Any] = queue.Queue()
    with triton.InferenceServerClient(pair.near.grpc) as client:
        assert client.infer("far", [tensor], parameters=GREEDY).as_numpy("text_output").tolist() == [text.encode()]
        client.start_stream(lambda result, error: answers.put((result, error)))
        client.async_stream_infer("far", [tensor], parameters=GREEDY)
        client.stop_stream()
    assert b"".join(result.as_numpy("text_output")[0] for result, _ in answers.queue).decode() == text


def test_constraints_travel(pair: Pair) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "boolean"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    asked = {"prompt": PROMPT, "max_tokens": 300, "seed": 1, "json_schema": schema}
    answer = httpx.post(f"http://{pair.near.http}/v1/models/far/generate", json=asked, timeout=60).json()
    assert json.loads(answer["predictions"][0]["choices"][0]["text"])["a"] in (True, False)


def test_what_it_says_is_wrong_is_told_in_its_words(near: openai.OpenAI) -> None:
    for fields, words in (
        ({"prompt": ""}, "empty"),
        ({"temperature": 9}, "temperature"),
        ({"nonsense": 1}, "nonsense"),
    ):
        for stream in (False, True):
            body = {"prompt": PROMPT, "model": "far", "stream": stream} | fields
            with pytest.raises(openai.BadRequestError, match=words):
                near.post("/completions", body=body, cast_to=object)


def test_who_is_not_there_is_not_ready(near: openai.OpenAI, pair: Pair) -> None:
    for model, words in (("lost", "can not be reached"), ("misnamed", "404")):
        for stream in (False, True):
            with pytest.raises(openai.InternalServerError, match=words) as raised:
                near.completions.create(model=model, prompt=PROMPT, stream=stream)
            assert raised.value.status_code == 503
            assert "127.0.0.1" not in str(raised.value)
    states = {
        one["name"]: one
        for one in httpx.post(f"http://{pair.near.http}/v2/repository/index", json={}, timeout=60).json()
    }
    assert {name: one["state"] for name, one in states.items()} == {
        "far": "READY",
        "slow": "READY",
        "misnamed": "UNAVAILABLE",
        "lost": "UNAVAILABLE",
        "colours": "READY",
    }
    assert {model.id for model in near.models.list()} == {"far", "slow"}


def test_more_than_were_allowed_are_told_to_come_back(pair: Pair, near: openai.OpenAI) -> None:
    url = f"http://{pair.near.http}/v1/completions"
    with (
        httpx.stream("POST", url, json=LONG, timeout=60) as one,
        httpx.stream("POST", url, json=LONG, timeout=60) as two,
    ):
        kept = one.iter_lines(), two.iter_lines()  # a connection is closed with the last iterator over it
        for lines in kept:
            next(lines)
        with pytest.raises(openai.RateLimitError):
            near.completions.create(model="slow", prompt=PROMPT)
    eventually(lambda: running(pair.back) == 0)


def test_its_tokens_are_counted_and_its_answers_watched_here(pair: Pair, near: openai.OpenAI) -> None:
    def tokens() -> float:
        with httpx.Client(timeout=60) as http:
            lines = http.get(f"http://{pair.near.metrics}/metrics").text.splitlines()
        return sum(
            float(one.split()[-1]) for one in lines if one.startswith('tidegate_completion_tokens_total{model="far"')
        )

    def observed() -> float:
        report = httpx.get(f"http://{pair.near.http}/v1/models/far/drift", timeout=60).json()
        return float(report["num_images"])

    counted, watched = tokens(), observed()
    near.completions.create(model="far", prompt=PROMPT, **GREEDY)
    list(near.completions.create(model="far", prompt=PROMPT, stream=True, **GREEDY))
    assert tokens() == counted + 40
    eventually(lambda: observed() == watched + 2)


def test_a_server_that_dies_in_the_middle_ends_the_stream_with_an_error(tmp_path: Path) -> None:
    """And the one that it was behind goes on, and finds it again."""
    package = build_language_package(tmp_path / "slow", name="slow", context=8192, width=256, depth=4, num_golden=1)
    with start_server(tmp_path / "back", [package], DRAIN_TIMEOUT_S="0.1") as back:
        declared = json.dumps({"slow": {"url": f"http://{back.http}/v1"}})
        settings = {"UPSTREAMS": declared, "POLL_INTERVAL_S": "0.2"}
        with start_server(tmp_path / "near", [], **settings) as near:
            client = openai.OpenAI(base_url=f"http://{near.http}/v1", api_key="none", max_retries=0)
            stream = client.completions.create(
                **{k: v for k, v in LONG.items() if k != "ignore_end"}, extra_body={"ignore_end": True}
            )
            next(iter(stream))
            os.kill(back.pid, signal.SIGKILL)
            with pytest.raises(openai.APIError, match="broke off"):
                list(stream)
            eventually(lambda: httpx.get(f"http://{near.http}/v2/models/slow/ready", timeout=60).status_code == 503)
            with pytest.raises(openai.InternalServerError, match="can not be reached"):
                client.completions.create(model="slow", prompt=PROMPT)
