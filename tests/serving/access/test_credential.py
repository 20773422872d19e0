from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.access.credential import find_credential, headers_of


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({}, None),
        ({b"authorization": b"Bearer abc"}, b"abc"),
        ({b"authorization": b"bearer abc"}, b"abc"),
        ({b"authorization": b"Bearer "}, b""),
        ({b"authorization": b"Bearer"}, None),
        ({b"authorization": b"Basic abc"}, None),
        ({b"authorization": b"abc"}, None),
        ({b"x-api-key": b"abc"}, b"abc"),
        ({b"x-api-key": b"abc", b"authorization": b"Bearer def"}, b"abc"),
    ],
)
def test_a_token_is_found_in_either_header(headers: dict[bytes, bytes], token: bytes | None) -> None:
    assert find_credential(headers) == token


@given(st.binary(max_size=100))
def test_a_bearer_token_is_taken_as_it_is(token: bytes) -> None:
    assert find_credential({b"authorization": b"Bearer " + token}) == token


def test_metadata_of_grpc_are_headers() -> None:
    read = (("authorization", "Bearer abc"), ("x-api-key", b"abc"), ("traceparent", "00-aa-bb-01"))
    metadata = (("user-agent", "test"), *read, ("trace-bin", b"\xff"))
    assert headers_of(metadata) == {
        b"authorization": b"Bearer abc",
        b"x-api-key": b"abc",
        b"traceparent": b"00-aa-bb-01",
    }
