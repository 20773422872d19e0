from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.openai.chat_request import ChatRequest
from serving.openai.completion_request import CompletionRequest
from serving.openai.error_body import BadField
from serving.openai.request import model_of, read_request
from tasks.errors import BadInput, NotFound, TidegateError
from tasks.parse_generation import parse_generation


def completion(**fields: Any) -> CompletionRequest:
    return read_request(json.dumps({"model": "m", "prompt": "a"} | fields).encode(), CompletionRequest)


def chat(**fields: Any) -> ChatRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "a"}]} | fields
    return read_request(json.dumps(body).encode(), ChatRequest)


def test_defaults_are_those_of_the_api() -> None:
    assert completion().params() == {"max_tokens": 16}
    assert chat().params() == {}
    assert completion(max_tokens=None, temperature=None, stop=None, tools=None, n=None).params() == {"max_tokens": 16}


def test_names_are_translated() -> None:
    assert chat(max_completion_tokens=5, logprobs=True, top_logprobs=3).params() == {"max_tokens": 5, "logprobs": 3}
    assert chat(logprobs=True).params()["logprobs"] == 0
    assert completion(logprobs=2, best_of=3, stop="[x").params() | {} == {
        "max_tokens": 16,
        "logprobs": 2,
        "n": 3,
        "stop": ("[x",),
    }
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "integer"}, "strict": True}}
    assert json.loads(chat(response_format=schema).params()["json_schema"]) == {"type": "integer"}
    assert json.loads(completion(response_format={"type": "json_object"}).params()["json_schema"]) == {"type": "object"}
    assert "json_schema" not in chat(response_format={"type": "text"}).params()


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": []},
        {"tool_choice": "none"},
        {"store": False},
        {"suffix": ""},
        {"user": "me", "metadata": {"a": "b"}, "service_tier": "auto", "prompt_cache_key": "x"},
        {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
    ],
)
def test_what_asks_for_nothing_is_accepted(fields: dict[str, Any]) -> None:
    assert completion(**fields).params() == {"max_tokens": 16}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"audio": {}}, "audio"),
        ({"store": True}, "store"),
        ({"suffix": "b"}, "suffix"),
        ({"stream_options": {}}, "stream_options"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"best_of": 1, "n": 2}, "best_of"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
    ],
)
def test_what_is_not_offered_is_named(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(BadField) as raised:
        completion(**fields).params()
    assert raised.value.field == field


def test_prompts_take_four_forms() -> None:
    assert completion(prompt="a").prompts(300) == ["a"]
    assert completion(prompt=["a", "b"]).prompts(300) == ("a", "b")
    assert completion(prompt=[1, 2]).prompts(300) == [(1, 2)]
    assert completion(prompt=[[1, 2], [3]]).prompts(300) == ((1, 2), (3,))
    for prompt in (None, 7, [], {}, [1, "a"], [[1], ["a"]], [1.5], ["a"] * 100, [1] * 301, [[1] * 301]):
        with pytest.raises(BadField):
            completion(prompt=prompt).prompts(300)


def test_messages_are_texts_or_parts_of_text() -> None:
    parts = {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    said = {"role": "assistant", "content": None, "tool_calls": []}
    assert chat(messages=[parts, said, {"role": "system", "content": "c", "name": "x"}]).turns() == [
        {"role": "user", "content": "ab"},
        {"role": "assistant", "content": ""},
        {"role": "system", "content": "c", "name": "x"},
    ]
    with pytest.raises(BadField, match="caption"):
        chat(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]).turns()


@pytest.mark.parametrize(("model", "found"), [("m", ("m", None)), ("m/3", ("m", "3"))])
def test_a_model_may_be_asked_for_by_its_version(model: str, found: tuple[str, str | None]) -> None:
    assert model_of(json.dumps({"model": model}).encode()) == found


@pytest.mark.parametrize("model", ["", "a b", "m/x", "m@champion", "../m", "m" * 1000])
def test_what_is_no_name_is_no_model(model: str) -> None:
    with pytest.raises(NotFound):
        model_of(json.dumps({"model": model}).encode())


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"model": 1}', b'{"model": "\xff"}', b"[" * 100_000])
def test_what_is_no_request_is_bad_input(body: bytes) -> None:
    with pytest.raises(BadInput):
        model_of(body)


def test_a_schema_must_be_utf8() -> None:
    schema = b'{"type": "json_schema", "json_schema": {"name": "n", "schema": {"title": "\xff"}}}'
    body = b'{"model": "m", "prompt": "a", "response_format": ' + schema + b"}"
    with pytest.raises(BadInput, match="UTF-8"):
        read_request(body, CompletionRequest).params()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(CompletionRequest.__struct_fields__)), JSON)
def test_any_value_of_any_field_is_taken_or_refused(field: str, value: Any) -> None:
    try:
        request = completion(**{field: value})
        request.prompts(300)
        parse_generation(request.params(), {}, 300)
    except TidegateError:
        pass
