"""The official OpenAI client, unmodified, against a real server."""

from __future__ import annotations

import asyncio
import json
import math

import openai
import pytest

from tests.e2e.conftest import RunningServer

pytestmark = pytest.mark.e2e
PROMPT = "Return the number of items"
TALK = [{"role": "user", "content": "What is in the list?"}]


def client_of(server: RunningServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://{server.http}/v1", api_key="none", max_retries=0)


@pytest.fixture
def client(language: RunningServer) -> openai.OpenAI:
    return client_of(language)


def test_models_are_listed_and_retrieved(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {"tiny", "slow"}
    assert client.models.retrieve("tiny").owned_by == "tidegate"
    for name in ("nobody", "colours", "tiny-captioner"):
        with pytest.raises(openai.NotFoundError) as raised:
            client.models.retrieve(name)
        assert raised.value.code == "model_not_found"


def test_a_completion_is_the_same_whole_and_streamed(client: openai.OpenAI) -> None:
    whole = client.completions.create(model="tiny", prompt=PROMPT, max_tokens=30, temperature=0)
    stream = client.completions.create(
        model="tiny", prompt=PROMPT, max_tokens=30, temperature=0, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == whole.choices[0].text
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason == "length"
    assert chunks[-1].choices == []
    assert whole.usage is not None
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens == 30
    assert chunks[-1].usage.prompt_tokens == whole.usage.prompt_tokens
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_repeated_prompt_is_found_in_the_cache(client: openai.OpenAI) -> None:
    for _ in range(2):
        answer = client.completions.create(model="tiny", prompt=PROMPT * 3, max_tokens=1)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    assert 0 < (answer.usage.prompt_tokens_details.cached_tokens or 0) < answer.usage.prompt_tokens


def test_prompts_may_be_texts_or_tokens_one_or_several(client: openai.OpenAI) -> None:
    forms = ("Return", ["Return", "Write"], [40, 50, 60], [[40, 50], [60]])
    for prompt, count in zip(forms, (1, 2, 1, 2), strict=True):
        answer = client.completions.create(model="tiny", prompt=prompt, max_tokens=3, n=2, seed=1)
        assert [choice.index for choice in answer.choices] == list(range(2 * count))
        streamed = client.completions.create(model="tiny", prompt=prompt, max_tokens=3, n=2, seed=1, stream=True)
        texts: dict[int, str] = {}
        for chunk in streamed:
            texts[chunk.choices[0].index] = texts.get(chunk.choices[0].index, "") + chunk.choices[0].text
        assert texts == {choice.index: choice.text for choice in answer.choices}


def test_the_prompt_is_repeated_on_request(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="tiny", prompt=["Return", "Write"], max_tokens=2, echo=True)
    assert [choice.text.startswith(word) for choice, word in zip(answer.choices, ("Return", "Write"), strict=True)]
    streamed = client.completions.create(model="tiny", prompt="Return", max_tokens=2, echo=True, stream=True)
    assert next(iter(streamed)).choices[0].text == "Return"


def test_the_best_of_several_is_answered(client: openai.OpenAI) -> None:
    asked = {"model": "tiny", "prompt": PROMPT, "max_tokens": 4, "seed": 3, "logprobs": 0}
    every = client.completions.create(**asked, n=6).choices
    best = client.completions.create(**asked, best_of=6, n=2).choices
    means = [sum(choice.logprobs.token_logprobs) / 4 for choice in every]
    found = [sum(choice.logprobs.token_logprobs) / 4 for choice in best]
    assert found == pytest.approx(sorted(means, reverse=True)[:2], abs=1e-4)


def test_completions_tell_logprobs_in_columns(client: openai.OpenAI) -> None:
    asked = {"model": "tiny", "prompt": PROMPT, "max_tokens": 12, "temperature": 0, "logprobs": 2}
    choice = client.completions.create(**asked).choices[0]
    told = choice.logprobs
    assert told is not None
    assert len(told.tokens) == len(told.token_logprobs) == len(told.top_logprobs) == len(told.text_offset) == 12
    assert all(2 <= len(best) <= 3 for best in told.top_logprobs)
    for token, logprob, best in zip(told.tokens, told.token_logprobs, told.top_logprobs, strict=True):
        assert logprob == best[token] == max(best.values())  # greedy
    plain = [(t, o) for t, o in zip(told.tokens, told.text_offset, strict=True) if not t.startswith("bytes:")]
    assert plain
    assert all(choice.text[offset:].startswith(token) for token, offset in plain)
    streamed = [chunk.choices[0].logprobs for chunk in client.completions.create(**asked, stream=True)]
    assert [token for part in streamed if part for token in part.tokens] == told.tokens
    assert [offset for part in streamed if part for offset in part.text_offset] == told.text_offset


def test_chats_tell_logprobs_by_token(client: openai.OpenAI) -> None:
    asked = {"model": "tiny", "messages": TALK, "max_tokens": 12, "temperature": 0, "logprobs": True, "top_logprobs": 3}
    choice = client.chat.completions.create(**asked).choices[0]
    assert choice.logprobs is not None
    content = choice.logprobs.content
    assert content is not None
    assert len(content) == 12
    assert b"".join(bytes(one.bytes) for one in content).decode(errors="replace") == choice.message.content
    for one in content:
        assert len(one.top_logprobs) == 3
        assert one.top_logprobs[0].logprob == one.logprob
        assert math.fsum(math.exp(best.logprob) for best in one.top_logprobs) <= 1 + 1e-6
    streamed = client.chat.completions.create(**asked, stream=True)
    parts = [chunk.choices[0].logprobs.content for chunk in streamed if chunk.choices[0].logprobs]
    told = [one for part in parts for one in part]
    assert [one.token for one in told] == [one.token for one in content]
    assert [one.logprob for one in told] == pytest.approx([one.logprob for one in content], abs=1e-4)


def test_a_chat_goes_through_the_template(client: openai.OpenAI) -> None:
    seeded = {"model": "tiny", "max_tokens": 8, "temperature": 0}
    parts = [
        {"role": "user", "content": [{"type": "text", "text": "What is in "}, {"type": "text", "text": "the list?"}]}
    ]
    answers = [client.chat.completions.create(messages=talk, **seeded) for talk in (TALK, parts)]
    written = client.completions.create(prompt="user: What is in the list?\nassistant: ", **seeded)
    assert answers[0].choices[0].message.content == answers[1].choices[0].message.content
    assert answers[0].choices[0].message.role == "assistant"
    assert written.choices[0].text  # has a begin token besides, so that it may go on differently


def test_a_streamed_chat_begins_with_its_role(client: openai.OpenAI) -> None:
    asked = {"model": "tiny", "messages": TALK, "max_completion_tokens": 9, "temperature": 0}
    whole = client.chat.completions.create(**asked)
    chunks = list(client.chat.completions.create(**asked, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == "length"
    text = whole.choices[0].message.content or ""
    with client.chat.completions.stream(**asked, stop=text[-3:]) as events:  # the client's own accumulator
        assert events.get_final_completion().choices[0].message.content == text[: text.index(text[-3:])]


def test_a_negative_seed_is_one_too_and_minus_one_is_none(client: openai.OpenAI) -> None:
    asked = {"model": "tiny", "prompt": PROMPT, "max_tokens": 20}
    lowest, again = (client.completions.create(**asked, seed=-(2**63)).choices[0].text for _ in range(2))  # type: ignore[call-overload]
    assert lowest == again
    drawn = {client.completions.create(**asked, seed=-1).choices[0].text for _ in range(5)}  # type: ignore[call-overload]
    assert len(drawn) > 1


def test_the_same_seed_gives_the_same_text(client: openai.OpenAI) -> None:
    texts = [
        client.completions.create(model="tiny", prompt=PROMPT, max_tokens=20, seed=seed).choices[0].text
        for seed in (7, 7, 8)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_stop_texts_bias_and_penalties_do_what_they_say(client: openai.OpenAI) -> None:
    free = client.completions.create(model="tiny", prompt=PROMPT, max_tokens=40, temperature=0).choices[0].text
    stop = free[10:12]
    stopped = client.completions.create(model="tiny", prompt=PROMPT, max_tokens=40, temperature=0, stop=[stop])
    assert stopped.choices[0].text == free[: free.index(stop)]
    assert stopped.choices[0].finish_reason == "stop"
    biased = client.completions.create(model="tiny", prompt=PROMPT, max_tokens=5, temperature=0, logit_bias={"66": 100})
    assert biased.choices[0].text == biased.choices[0].text[0] * 5


@pytest.mark.parametrize("penalty", ["presence_penalty", "frequency_penalty"])
def test_what_was_said_is_said_again_unless_that_is_punished(client: openai.OpenAI, penalty: str) -> None:
    asked = {"model": "tiny", "prompt": PROMPT, "max_tokens": 2, "temperature": 0, "logprobs": 1}

    def gaps(token: int) -> list[float]:
        """How far the token is below the best one at both places, where it is said at both."""
        told = client.completions.create(**asked, logit_bias={str(token): 100}).choices[0].logprobs
        best = [max(tops.values()) for tops in told.top_logprobs]
        return [high - low for high, low in zip(best, told.token_logprobs, strict=True)]

    token, (_, gap) = next((each, found) for each in range(60, 160) if (found := gaps(each))[0] < found[1] < 90)
    asked["logit_bias"] = {str(token): gap + 1}
    plain, punished = (
        client.completions.create(**asked, **more).choices[0].logprobs.tokens for more in ({}, {penalty: 2})
    )
    assert plain[0] == plain[1] == punished[0] != punished[1]


@pytest.mark.parametrize("stream", [False, True])
def test_beams_come_best_first(client: openai.OpenAI, stream: bool) -> None:
    more = {"num_beams": 4, "ignore_end": True}
    answer = client.completions.create(
        model="tiny", prompt=PROMPT, max_tokens=6, n=3, logprobs=0, stream=stream, extra_body=more
    )
    choices = [chunk.choices[0] for chunk in answer] if stream else answer.choices
    sums = [sum(choice.logprobs.token_logprobs) for choice in choices]
    assert [choice.index for choice in choices] == [0, 1, 2]
    assert sums == sorted(sums, reverse=True)


SCHEMA = {
    "type": "object",
    "properties": {"name": {"enum": ["lock", "file"]}, "count": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "count"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_keeps_to_its_schema(client: openai.OpenAI, stream: bool) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "entry", "strict": True, "schema": SCHEMA}}
    asked = {"model": "tiny", "messages": TALK, "response_format": wanted, "max_tokens": 200, "seed": 5}
    if stream:
        chunks = list(client.chat.completions.create(**asked, stream=True))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    else:
        text = client.chat.completions.create(**asked).choices[0].message.content or ""
    entry = json.loads(text)
    assert entry["name"] in ("lock", "file")
    assert 0 <= entry["count"] <= 99


def test_an_answer_matches_a_regular_expression(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model="tiny", prompt=PROMPT, max_tokens=50, extra_body={"regex": "[a-f]{3}-[0-9]{2}"}
    )
    assert len(answer.choices[0].text) == 6
    assert answer.choices[0].finish_reason == "stop"


async def test_the_asynchronous_client_reads_many_streams_at_once(language: RunningServer) -> None:
    async with openai.AsyncOpenAI(base_url=f"http://{language.http}/v1", api_key="none", max_retries=3) as client:

        async def read(seed: int) -> str:
            stream = await client.completions.create(model="tiny", prompt=PROMPT, max_tokens=60, seed=seed, stream=True)
            return "".join([chunk.choices[0].text async for chunk in stream])

        together = await asyncio.gather(*[read(seed) for seed in range(6)])
        alone = [await read(seed) for seed in range(6)]
    assert together == alone
