from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.upstream.seen import read_answer, read_fields, read_models
from tasks.errors import NotReady
from tests.serving.upstream.told import fields

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["choices", "usage", "data", "id", "text", "delta", "message", "logprobs", "index"])


def test_an_answer_of_nothing_says_nothing() -> None:
    seen = read_answer(fields({"id": "x"}))
    assert (seen.choices, seen.usage) == ((), None)
    assert read_models(fields({})) == ()


def test_log_probabilities_are_found_in_both_forms() -> None:
    told = ({"token_logprobs": [None, -1.5]}, {"content": [{"token": "a", "logprob": -1.5}]}, {"content": None}, {})
    found = [read_answer(fields({"choices": [{"logprobs": one}]})).choices[0].logprobs for one in told]
    assert [one.values() for one in found if one is not None] == [[-1.5], [-1.5], [], []]


def test_models_are_named() -> None:
    assert read_models(fields({"object": "list", "data": [{"id": "a", "created": 1}, {"id": "b/c"}]})) == ("a", "b/c")


@pytest.mark.parametrize("content", [b"", b"[]", b"7", b"{", b'{"a": "\xff"}', b'{"a": ' + b"[" * 100_000])
def test_what_is_no_object_is_no_answer(content: bytes) -> None:
    with pytest.raises(NotReady, match="no JSON object"):
        read_fields(content)


@given(st.dictionaries(NAMES, JSON | st.lists(st.dictionaries(NAMES, JSON), max_size=2), max_size=3))
def test_whatever_is_told_is_read_or_refused(told: dict[str, Any]) -> None:
    for read in (read_answer, read_models):
        with suppress(NotReady):
            read(read_fields(json.dumps(told).encode()))
