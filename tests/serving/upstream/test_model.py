from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from monitoring.monitor import Monitor
from serving.aftermath import Aftermath
from serving.answer import Answer
from serving.capture.item import ModelFacts
from serving.deadline import Deadline
from serving.drift_feed import DriftFeed
from serving.event_stream import EventStream
from serving.feedback.desk import FeedbackDesk, MemoryLimits
from serving.feedback.given import Feedback
from serving.feedback.judge_text import TextJudge
from serving.feedback.statistics import FeedbackStatistics
from serving.generation.statistics import GenerationStatistics
from serving.logs import CURRENT_REQUEST
from serving.statistics import ModelStatistics
from serving.upstream.declaration import Upstream
from serving.upstream.model import UpstreamModel
from serving.upstream.upstreams import NO_REFERENCE
from tasks.errors import BadInput, DeadlineExceeded, NotReady, Overloaded, TidegateError
from tests.serving.upstream.canned_server import CannedServer, canned_server

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "prompt_tokens_details": {"cached_tokens": 1}}
WHOLE = {
    "id": "x",
    "object": "text_completion",
    "model": "there",
    "choices": [{"index": 0, "text": "ab", "finish_reason": "stop", "stop_reason": "!", "logprobs": None}],
    "usage": USAGE,
    "kv_transfer_params": {"of": "its own"},
}
CHUNKS = (
    {"model": "there", "choices": [{"index": 0, "text": "a", "finish_reason": None}], "usage": None},
    {"model": "there", "choices": [{"index": 0, "text": "b", "finish_reason": "length"}], "usage": None},
    {"model": "there", "choices": [], "usage": USAGE},
)


def as_events(*chunks: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


@pytest.fixture
def server() -> Iterator[CannedServer]:
    with canned_server(body=json.dumps(WHOLE).encode()) as server:
        yield server


@pytest.fixture
async def model(server: CannedServer) -> AsyncIterator[UpstreamModel]:
    feed = DriftFeed(8, 1.0)
    declared = Upstream(url=server.url, model="there", max_in_flight=2)
    model = UpstreamModel(
        "here", declared, ModelStatistics((1.0,)), GenerationStatistics(0), Monitor(NO_REFERENCE), feed
    )
    yield model
    assert model.num_in_flight == 0
    await model.retire(0.0)
    feed.close()


async def forward(model: UpstreamModel, **fields: Any) -> Any:
    body = json.dumps({"model": "here", "prompt": "p"} | fields).encode()
    return await model.forward("/v1/completions", body, Deadline.after(10))


async def test_an_answer_passes_under_our_name(server: CannedServer, model: UpstreamModel) -> None:
    answer = await forward(model, temperature=0.5, of_its_own={"a": 1})
    assert isinstance(answer, Answer)
    assert json.loads(answer.body) == WHOLE | {"model": "here"}
    asked = json.loads(server.requests[0][2])
    assert asked == {"model": "there", "prompt": "p", "temperature": 0.5, "of_its_own": {"a": 1}}
    assert (model.generation.num_prompt_tokens, model.generation.num_cached_tokens) == (3, 1)
    assert model.generation.num_completion_tokens == 2
    assert model.generation.finished == {"stop": 1}


@pytest.mark.parametrize(
    "options", [{}, {"include_usage": False}, {"include_usage": None, "of_its_own": [1]}, {"include_usage": True}, None]
)
async def test_a_stream_always_brings_its_usage_to_us(
    server: CannedServer, model: UpstreamModel, options: dict[str, Any] | None
) -> None:
    server.body = as_events(*CHUNKS)
    stream = await forward(model, stream=True, stream_options=options)
    assert isinstance(stream, EventStream)
    *chunks, done = [one async for one in stream.events]
    assert done == b"data: [DONE]\n\n"
    told = [json.loads(chunk.removeprefix(b"data: ")) for chunk in chunks]
    assert {chunk["model"] for chunk in told} == {"here"}
    wants_usage = bool(options and options.get("include_usage"))
    assert [bool(chunk.get("usage")) for chunk in told] == ([False, False, True] if wants_usage else [False, False])
    assert json.loads(server.requests[0][2])["stream_options"] == (options or {}) | {"include_usage": True}
    assert model.generation.num_completion_tokens == 2
    assert model.generation.first_token.count == 1
    assert model.generation.token.count == 1


async def test_its_text_is_read_like_one_made_here(server: CannedServer, model: UpstreamModel) -> None:
    server.body = as_events(*CHUNKS)
    params = model.parse_params({"max_tokens": 2, "temperature": 0.0, "json_schema": '{"type": "string"}'})
    answering = model.start("p", params, Deadline.after(10))
    deltas = [delta async for delta in answering]
    assert [delta.text for delta in deltas] == ["a", "b", ""]
    assert deltas[-1].finished == answering.answers[0]
    assert answering.answers[0].text == "ab"
    assert len(answering.answers[0].tokens) == 2
    asked = json.loads(server.requests[0][2])
    assert (asked["model"], asked["prompt"], asked["max_tokens"], asked["temperature"]) == ("there", "p", 2, 0.0)
    assert asked["response_format"]["json_schema"]["schema"] == {"type": "string"}
    assert not {"top_k", "num_beams", "regex"} & asked.keys()


async def test_logprobs_of_unknown_tokens_are_refused(model: UpstreamModel) -> None:
    with pytest.raises(BadInput, match="logprobs"):
        model.start("p", model.parse_params({"logprobs": 1}), Deadline())


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("status", [400, 429, 500])
async def test_a_refusal_comes_before_anything_is_sent(
    server: CannedServer, model: UpstreamModel, status: int, is_stream: bool
) -> None:
    server.status, server.body = status, b'{"error": {"message": "because"}}'
    with pytest.raises(TidegateError):
        await forward(model, stream=is_stream)
    seen = model.generation
    assert (seen.num_refused, seen.num_failed) == {400: (0, 0), 429: (1, 0), 500: (0, 1)}[status]


@pytest.mark.parametrize("is_stream", [False, True])
async def test_an_upstream_that_hangs_is_given_up_in_time(
    server: CannedServer, model: UpstreamModel, is_stream: bool
) -> None:
    server.hangs = True
    body = json.dumps({"model": "here", "prompt": "p", "stream": is_stream}).encode()
    with pytest.raises(DeadlineExceeded):
        await model.forward("/v1/completions", body, Deadline.after(0.5))
    answering = model.start("p", model.parse_params({}), Deadline.after(0.5))
    with pytest.raises(DeadlineExceeded):
        await anext(aiter(answering))
    # The second may have been given up before its connection was there: half a second is short on a busy machine.
    assert server.requests
    assert model.generation.num_expired == 2


async def test_a_stream_that_breaks_off_says_so_after_what_came(server: CannedServer, model: UpstreamModel) -> None:
    server.body = as_events(*CHUNKS[:1]).replace(b"data: [DONE]\n\n", b"")
    stream = await forward(model, stream=True)
    events = aiter(stream.events)
    assert b'"a"' in await anext(events)
    with pytest.raises(NotReady, match="broke off"):
        await anext(events)
    stream.close()
    assert model.generation.num_failed == 1
    assert model.generation.num_cancelled == 0


@pytest.mark.parametrize("answer", [{"choices": 7}, {"choices": [{"text": 1}]}, {"usage": {"prompt_tokens": "many"}}])
async def test_what_is_no_answer_of_the_api_is_not_passed_on(
    server: CannedServer, model: UpstreamModel, answer: dict[str, Any]
) -> None:
    server.body = json.dumps(answer).encode()
    with pytest.raises(NotReady, match="OpenAI API"):
        await forward(model)


async def test_an_upstream_may_be_asked_so_many_at_once(server: CannedServer, model: UpstreamModel) -> None:
    server.body = as_events(*CHUNKS)
    streams = [await forward(model, stream=True) for _ in range(2)]
    with pytest.raises(Overloaded):
        await forward(model)
    for stream in streams:
        stream.close()
        stream.close()  # twice is once
    assert model.generation.num_refused == 1
    one_more = await forward(model, stream=True)
    one_more.close()


async def test_a_look_says_what_is_missing(server: CannedServer, model: UpstreamModel) -> None:
    for body, ailment in (
        ({"data": [{"id": "there"}]}, ""),
        ({"data": [{"id": "other"}]}, "no model of this name"),
        ({}, ""),
        ({"data": 7}, "OpenAI API"),
        ({"data": [{"id": 7}]}, "OpenAI API"),
    ):
        server.body = json.dumps(body).encode()
        await model.probe()
        assert (ailment in model.ailment) if ailment else model.ailment == ""
    server.status = 401
    await model.probe()
    assert "401" in model.ailment


async def test_who_is_cancelled_hangs_up(server: CannedServer, model: UpstreamModel) -> None:
    server.body = as_events(*CHUNKS * 200)
    stream = await forward(model, stream=True)
    stream.close()
    await asyncio.sleep(0.05)
    assert model.num_in_flight == 0
    assert model.generation.num_cancelled == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_its_answers_take_feedback(server: CannedServer, model: UpstreamModel) -> None:
    desk = FeedbackDesk(MemoryLimits(), FeedbackStatistics())
    model.witness = Aftermath(desk).witness(ModelFacts("here", "upstream", "upstream", "text_generation"), TextJudge())
    CURRENT_REQUEST.set("asked")
    await forward(model)
    said = WHOLE["choices"][0]["text"]  # type: ignore[index]
    claim = desk.claim("here", Feedback(request_id="asked", references=(said,), rating="up"))
    assert claim.verdict().told == {"exact": True, "token_f1": 1.0, "rating": 1.0}
