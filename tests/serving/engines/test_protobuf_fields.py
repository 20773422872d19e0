from __future__ import annotations

import pytest
from google.protobuf import struct_pb2, timestamp_pb2
from hypothesis import given
from hypothesis import strategies as st

from serving.engines.protobuf_fields import bytes_field, number_field, read_fields


@given(number=st.integers(1, 2**29 - 1), value=st.integers(0, 2**64 - 1), content=st.binary(max_size=300))
def test_what_is_written_is_read(number: int, value: int, content: bytes) -> None:
    written = number_field(number, value) + bytes_field(number, content, b"!")
    first, second = read_fields(memoryview(written))
    assert (first.number, first.value) == (number, value)
    assert (second.number, bytes(second.message)) == (number, content + b"!")
    assert b"".join(bytes(each.whole) for each in (first, second)) == written


@given(seconds=st.integers(0, 2**40), nanos=st.integers(0, 2**31 - 1))
def test_messages_of_the_library_are_read_and_written_alike(seconds: int, nanos: int) -> None:
    message = timestamp_pb2.Timestamp(seconds=seconds, nanos=nanos)
    encoded = message.SerializeToString()
    assert {each.number: each.value for each in read_fields(memoryview(encoded))} == {
        number: value for number, value in ((1, seconds), (2, nanos)) if value
    }
    assert timestamp_pb2.Timestamp.FromString(number_field(1, seconds) + number_field(2, nanos)) == message


def test_numbers_of_fixed_length_are_passed_over() -> None:
    encoded = struct_pb2.Value(number_value=1.5).SerializeToString() + bytes_field(3, b"text")
    first, second = read_fields(memoryview(encoded))
    assert (first.number, len(first.message)) == (2, 8)
    assert (second.number, second.text) == (3, "text")


@pytest.mark.parametrize("broken", [b"\x0a", b"\x0a\x05ab", b"\x00\x01", b"\x0b", b"\x08" + b"\xff" * 11, b"\x09abc"])
def test_bytes_that_are_no_message_are_refused(broken: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        list(read_fields(memoryview(broken)))


def test_a_number_holds_no_fields() -> None:
    (each,) = read_fields(memoryview(number_field(1, 5)))
    with pytest.raises(ValueError, match="number where a message was expected"):
        _ = each.message
