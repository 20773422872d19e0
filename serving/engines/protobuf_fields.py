"""The wire format of protocol buffers, as far as ONNX takes it: fields read where they lie, and written anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5
"""How the value of a field is written."""
FIXED_LENGTHS = {FIXED_64: 8, FIXED_32: 4}
MAX_VARINT_BYTES = 10


class Field(NamedTuple):
    """`value`: a number, or the bytes where they lie. `whole`: the field as it is written, number and all."""

    number: int
    value: int | memoryview
    whole: memoryview

    @property
    def message(self) -> memoryview:
        """Raises ValueError for a number, which holds no fields."""
        if isinstance(self.value, int):
            raise ValueError(f"field {self.number} is a number where a message was expected")
        return self.value

    @property
    def text(self) -> str:
        return bytes(self.message).decode("utf-8", errors="replace")


def read_fields(message: memoryview) -> Iterator[Field]:
    """In the order of the bytes. Raises ValueError or IndexError where they are no message."""
    start = 0
    while start < len(message):
        key, position = read_varint(message, start)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ValueError("a field has the number 0")
        value: int | memoryview
        if kind == VARINT:
            value, position = read_varint(message, position)
        else:
            if kind == BYTES:
                length, position = read_varint(message, position)
            elif kind in FIXED_LENGTHS:
                length = FIXED_LENGTHS[kind]
            else:
                raise ValueError(f"a field is written in the unknown way {kind}")
            if position + length > len(message):
                raise ValueError("it ends within a field")
            value = message[position : position + length]
            position += length
        yield Field(number, value, message[start:position])
        start = position


def read_varint(message: memoryview, position: int) -> tuple[int, int]:
    """The number there, seven bits in each byte, and the position behind it."""
    value = 0
    for index in range(MAX_VARINT_BYTES):
        byte = message[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise ValueError("a number has more than 64 bits")


def number_field(number: int, value: int) -> bytes:
    """A field that holds a number, as it is written."""
    return varint(number << 3 | VARINT) + varint(value)


def bytes_field(number: int, *parts: bytes | memoryview) -> bytes:
    """A field that holds bytes, a text or a message, as it is written."""
    return b"".join((varint(number << 3 | BYTES), varint(sum(map(len, parts))), *parts))


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
