"""Bytes come back as they were, and a damaged stream is refused as InvalidPackage."""

from __future__ import annotations

import lzma
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.coding_stream import LZMA_FILTER, Method, Payload, Stream, decode_stream, encode_stream
from tasks.errors import InvalidPackage

CONTENTS = st.binary(max_size=300) | st.builds(lambda piece, times: piece * times, st.binary(max_size=9), st.just(99))
CODED = {
    Method.STORED: bytes(range(250)),
    Method.DEFLATE: zlib.compress(bytes(range(250)), wbits=-15),
    Method.LZMA: lzma.compress(bytes(range(250)), format=lzma.FORMAT_RAW, filters=[LZMA_FILTER]),
}


def decode(method: Method, coded: bytes, num_bytes: int) -> bytes:
    return bytes(decode_stream(Stream(method, len(coded)), num_bytes, Payload(memoryview(coded))))


@given(CONTENTS)
def test_any_bytes_come_back(content: bytes) -> None:
    coded = encode_stream(content)
    assert decode(coded.stream.method, coded.payload, len(content)) == content
    assert len(coded.payload) == coded.stream.num_coded <= len(content)


def test_what_is_frequent_takes_less_than_a_bit() -> None:
    content = bytes(99) + b"\x01"
    coded = encode_stream(content * 1000)
    assert coded.stream.num_coded < 100 * 1000 / 8 / 4


def test_noise_is_stored_as_it_is() -> None:
    assert encode_stream(bytes(range(256))).stream == Stream(Method.STORED, 256)


@pytest.mark.parametrize("method", Method)
def test_every_method_gives_what_was_announced_and_no_more(method: Method) -> None:
    assert decode(method, CODED[method], 250) == bytes(range(250))
    for num_bytes in (0, 1, 249, 251, 2**40):
        with pytest.raises(InvalidPackage):
            decode(method, CODED[method], num_bytes)


@pytest.mark.parametrize("method", [Method.DEFLATE, Method.LZMA])
@pytest.mark.parametrize("damage", [lambda coded: coded[:-1], lambda coded: coded + b"\0", lambda coded: b""])
def test_a_stream_that_ends_too_early_or_too_late(method: Method, damage) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidPackage, match="250 bytes"):
        decode(method, damage(CODED[method]), 250)


@given(st.sampled_from([Method.DEFLATE, Method.LZMA]), st.binary(max_size=200), st.integers(0, 10_000))
def test_anything_at_all_is_decoded_or_refused(method: Method, coded: bytes, num_bytes: int) -> None:
    with suppress(InvalidPackage):
        assert len(decode(method, coded, num_bytes)) == num_bytes


def test_a_payload_is_used_up_to_its_end() -> None:
    payload = Payload(memoryview(b"abc"))
    assert bytes(payload.take(2)) == b"ab"
    with pytest.raises(InvalidPackage, match="1 bytes are left over"):
        payload.expect_end()
    with pytest.raises(InvalidPackage, match="4 bytes too early"):
        payload.take(5)
