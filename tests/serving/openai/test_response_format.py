from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.openai.completion_request import CompletionRequest
from serving.openai.error_body import BadField
from serving.openai.response_format import ResponseFormat
from tasks.errors import BadInput
from tests.serving.openai.made import ask

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def schema_of(response_format: dict[str, Any]) -> str:
    read = ask(CompletionRequest, prompt="a", response_format=response_format).response_format
    assert isinstance(read, ResponseFormat)
    return read.schema()


def test_text_keeps_to_nothing() -> None:
    assert schema_of({"type": "text"}) == ""
    assert schema_of({"type": "text", "json_schema": {"name": "unused"}}) == ""


def test_json_object_is_any_object() -> None:
    assert json.loads(schema_of({"type": "json_object"})) == {"type": "object"}


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=3), st.sampled_from([True, False, None]))
def test_a_schema_is_handed_on_as_it_is(schema: dict[str, Any], strict: bool | None) -> None:
    named = {"name": "n", "schema": schema, "strict": strict, "description": "what for"}
    assert json.loads(schema_of({"type": "json_schema", "json_schema": named})) == schema


def test_a_name_without_a_schema_allows_any_json() -> None:
    assert json.loads(schema_of({"type": "json_schema", "json_schema": {"name": "n"}})) == {}


def test_a_schema_that_is_missing_is_named() -> None:
    with pytest.raises(BadField, match="needs a field json_schema"):
        schema_of({"type": "json_schema"})


@pytest.mark.parametrize(
    "wrong", [{}, {"type": "xml"}, {"type": "json_schema", "json_schema": {"schema": {}}}, {"json_schema": {}}, "text"]
)
def test_other_formats_are_refused_where_they_stand(wrong: Any) -> None:
    with pytest.raises(BadInput, match=r"\$\.response_format"):
        schema_of(wrong)
