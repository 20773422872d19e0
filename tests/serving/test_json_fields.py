from __future__ import annotations

import pytest

from serving.json_fields import MAX_FIELD_BYTES, read_fields, read_values
from tasks.errors import BadInput, TooLarge


def test_fields_become_values_one_by_one() -> None:
    fields = read_fields(b'{"a": [1, "\\u00e9"], "b": {"c": null}, "d": 1.5}', "{}")
    assert read_values(fields) == {"a": [1, "é"], "b": {"c": None}, "d": 1.5}


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'{"a": tru}', b"[" * 100_000])
def test_what_is_no_object_is_bad_input(body: bytes) -> None:
    with pytest.raises(BadInput, match="like this"):
        read_values(read_fields(body, "this"))


def test_a_parameter_may_not_be_a_world_of_its_own() -> None:
    with pytest.raises(TooLarge, match="'a'"):
        read_values(read_fields(b'{"a": [' + b"[]," * MAX_FIELD_BYTES + b"[]]}", "{}"))


@pytest.mark.parametrize("content", [b'"\xff"', b'"\\ud800"', b"[" * 50_000 + b"]" * 50_000, b"1" * 10_000])
def test_what_a_field_holds_must_be_json_too(content: bytes) -> None:
    with pytest.raises(BadInput):
        read_values(read_fields(b'{"a": ' + content + b"}", "{}"))
