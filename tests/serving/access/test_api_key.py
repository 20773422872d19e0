from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from serving.access.api_key import PATTERN, new_key, parse_key


def test_a_new_key_is_found_in_its_text() -> None:
    key = new_key()
    assert parse_key(key.text().encode()) == key
    assert key.digest() == hashlib.sha256(key.text().rpartition("_")[2].encode()).digest()


def test_no_two_keys_are_the_same() -> None:
    keys = [new_key() for _ in range(100)]
    assert len({key.id for key in keys}) == len({key.secret for key in keys}) == 100


def test_what_is_printed_of_a_key_by_accident_holds_no_secret() -> None:
    key = new_key()
    assert key.secret.decode() not in f"{key!r} {key}"


@given(st.binary(max_size=200))
def test_anything_else_is_no_key(text: bytes) -> None:
    assert parse_key(text) is None or PATTERN.fullmatch(text)


@given(st.integers(0, 80), st.binary(min_size=1, max_size=3))
def test_a_key_with_something_else_in_it_is_no_key_or_another(at: int, other: bytes) -> None:
    key = new_key()
    text = key.text().encode()
    changed = text[:at] + other + text[at:]
    assert parse_key(changed) is None
