"""What can not be right raises the OpenAI client's own errors."""

from __future__ import annotations

import openai
import pytest

from tests.e2e.conftest import RunningServer

pytestmark = pytest.mark.e2e
PROMPT = "Return the number of items"
TALK = [{"role": "user", "content": "What is in the list?"}]


@pytest.fixture
def client(language: RunningServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://{language.http}/v1", api_key="none", max_retries=0)


@pytest.mark.parametrize(
    ("error", "fields", "param"),
    [
        (openai.NotFoundError, {"model": "nobody"}, None),
        (openai.NotFoundError, {"model": "tiny/7"}, None),
        (openai.BadRequestError, {"model": "colours"}, None),
        (openai.BadRequestError, {"model": "tiny-captioner"}, None),
        (openai.BadRequestError, {"prompt": ""}, None),
        (openai.BadRequestError, {"prompt": []}, "prompt"),
        (openai.BadRequestError, {"prompt": [[]]}, None),
        (openai.BadRequestError, {"prompt": [1, "a"]}, "prompt"),
        (openai.BadRequestError, {"prompt": [100_000]}, None),
        (openai.BadRequestError, {"prompt": "word " * 10_000}, None),
        (openai.BadRequestError, {"prompt": ["a"] * 100}, "prompt"),
        (openai.BadRequestError, {"temperature": -1}, "temperature"),
        (openai.BadRequestError, {"top_p": 0}, "top_p"),
        (openai.BadRequestError, {"max_tokens": 0}, "max_tokens"),
        (openai.BadRequestError, {"n": 1000}, "n"),
        (openai.BadRequestError, {"logprobs": 1000}, "logprobs"),
        (openai.BadRequestError, {"stop": ["x"] * 10_000}, "stop"),
        (openai.BadRequestError, {"stop": ["x" * 100_000]}, None),
        (openai.BadRequestError, {"logit_bias": {"x": 1}}, "logit_bias"),
        (openai.BadRequestError, {"best_of": 1, "n": 2}, "best_of"),
        (openai.BadRequestError, {"suffix": "end"}, "suffix"),
        (openai.BadRequestError, {"echo": True, "logprobs": 1}, "echo"),
        (openai.BadRequestError, {"stream_options": 1}, "stream_options"),
        (openai.BadRequestError, {"extra_body": {"nonsense": 1}}, None),
        (openai.BadRequestError, {"extra_body": {"num_beams": 2, "top_k": 5}}, None),
        (openai.BadRequestError, {"extra_body": {"regex": "(("}}, None),
        (openai.BadRequestError, {"extra_body": {"regex": "a", "response_format": {"type": "json_object"}}}, None),
        (openai.APIStatusError, {"prompt": "x" * 300_000}, None),
    ],
)
def test_what_can_not_be_right_raises_the_clients_own_errors(
    client: openai.OpenAI, error: type[openai.APIStatusError], fields: dict[str, object], param: str | None
) -> None:
    for stream in (False, True):
        with pytest.raises(error) as raised:
            client.completions.create(**({"model": "tiny", "prompt": PROMPT, "stream": stream} | fields))  # type: ignore[call-overload]
        body = raised.value.body
        assert isinstance(body, dict)
        assert body["message"]
        assert body["type"] == "invalid_request_error"
        assert param is None or body["param"] == param


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": []},
        {"messages": [{"role": "nobody", "content": "a"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]}]},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"top_logprobs": 2},
        {"max_tokens": 3, "max_completion_tokens": 4},
        {"modalities": ["audio"]},
        {"response_format": {"type": "json_schema"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}}},
    ],
)
def test_chats_refuse_what_they_can_not_do(client: openai.OpenAI, fields: dict[str, object]) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(**({"model": "tiny", "messages": TALK} | fields))  # type: ignore[call-overload]
