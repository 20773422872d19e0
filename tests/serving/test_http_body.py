from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.http_body import (
    ClientDisconnected,
    Message,
    Receive,
    accepted_encoding,
    deflate,
    inflate,
    parse_length,
    read_body,
)
from tasks.errors import BadInput, TidegateError, TooLarge

LIMIT = 100_000


def chunks(parts: Sequence[bytes], *, disconnects: bool = False) -> Receive:
    """A client that sends these pieces of a body, and perhaps leaves before the last one."""
    messages: list[Message] = [
        {"type": "http.request", "body": part, "more_body": disconnects or index < len(parts) - 1}
        for index, part in enumerate(parts)
    ]
    messages.append({"type": "http.disconnect"})

    async def receive() -> Message:
        return messages.pop(0)

    return receive


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=8))
async def test_a_body_is_its_pieces_in_order(parts: list[bytes]) -> None:
    assert await read_body(chunks(parts), {}, LIMIT) == b"".join(parts)


async def test_an_endless_body_is_refused_when_it_crosses_the_limit() -> None:
    received = 0

    async def receive() -> Message:
        nonlocal received
        received += 30_000
        return {"type": "http.request", "body": bytes(30_000), "more_body": True}

    with pytest.raises(TooLarge):
        await read_body(receive, {}, LIMIT)
    assert received == 120_000


@pytest.mark.parametrize(
    ("length", "error"),
    [(b"100001", TooLarge), (b"-1", BadInput), (b"ten", BadInput), (b"", BadInput), (b"9" * 5000, BadInput)],
)
async def test_a_bad_content_length_is_refused_before_anything_is_read(
    length: bytes, error: type[TidegateError]
) -> None:
    async def receive() -> Message:
        raise AssertionError("the body was read")

    with pytest.raises(error):
        await read_body(receive, {b"content-length": length}, LIMIT)


async def test_a_client_that_leaves_is_nobody_to_answer() -> None:
    with pytest.raises(ClientDisconnected):
        await read_body(chunks([b"abc"], disconnects=True), {}, LIMIT)


@given(st.binary(max_size=2000), st.sampled_from([b"gzip", b"deflate"]))
def test_compression_there_and_back(data: bytes, encoding: bytes) -> None:
    assert inflate(deflate(data, encoding), encoding, LIMIT) == data


def test_every_spelling_of_deflate_in_the_field_is_read() -> None:
    data = bytes(range(256)) * 4
    bare = zlib.compressobj(wbits=-15)
    assert inflate(bare.compress(data) + bare.flush(), b"deflate", LIMIT) == data
    assert inflate(zlib.compress(data), b" Deflate ", LIMIT) == data
    assert inflate(gzip.compress(data) + gzip.compress(b"more"), b"x-gzip", LIMIT) == data + b"more"
    assert inflate(data, b"identity", LIMIT) == data


@given(st.binary(max_size=200), st.sampled_from([b"gzip", b"deflate", b"br", b"gzip, gzip", b"\xff"]))
def test_random_bytes_inflate_or_are_bad_input(data: bytes, encoding: bytes) -> None:
    try:
        inflate(data, encoding, LIMIT)
    except TidegateError:
        return


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate"])
def test_a_bomb_is_refused_before_it_takes_the_memory(encoding: bytes) -> None:
    bomb = deflate(bytes(50_000_000), encoding)
    tracemalloc.start()
    with pytest.raises(TooLarge, match="inflates"):
        inflate(bomb, encoding, LIMIT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * LIMIT


def test_countless_tiny_members_are_refused() -> None:
    with pytest.raises(BadInput, match="follow"):
        inflate(gzip.compress(b"x") * 1000, b"gzip", LIMIT)


def test_a_compressed_body_that_is_cut_off_is_refused() -> None:
    with pytest.raises(BadInput, match="too early"):
        inflate(gzip.compress(bytes(1000))[:-9], b"gzip", LIMIT)


@pytest.mark.parametrize(
    ("asked", "given_"),
    [
        (b"gzip", b"gzip"),
        (b"deflate", b"deflate"),
        (b"GZIP, deflate;q=0.5", b"gzip"),
        (b"gzip;q=0, deflate", b"deflate"),
        (b"identity", None),
        (b"", None),
        (b"br", None),
    ],
)
def test_the_answer_is_compressed_as_asked(asked: bytes, given_: bytes | None) -> None:
    assert accepted_encoding({b"accept-encoding": asked}) == given_


@given(st.binary(max_size=30))
def test_lengths_are_plain_numbers(value: bytes) -> None:
    try:
        assert parse_length("X", value) == int(value)
    except BadInput:
        assert not (value.isdigit() and len(value) < 19)
