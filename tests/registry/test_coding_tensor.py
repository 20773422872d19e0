"""Numbers come back bit by bit, whatever they are; a coding that does not fit its tensor is refused."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from registry.coding_stream import Method, Payload, Stream
from registry.coding_tensor import (
    CodedTensor,
    Coding,
    Palette,
    Patterns,
    Plain,
    Sparse,
    decode_tensor,
    encode_gaps,
    encode_tensor,
)
from tasks.errors import InvalidPackage

DTYPES = ["float16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64"]
STORED = Stream(Method.STORED, 0)


def patterns(numbers: NDArray[Any]) -> Patterns:
    return numbers.ravel().view(f"<u{numbers.itemsize}")


def decode(coded: CodedTensor, size: int, width: int) -> Patterns:
    numbers = np.empty(size, f"<u{width}")
    payload = Payload(memoryview(coded.payload))
    decode_tensor(coded.coding, numbers, payload)
    payload.expect_end()
    return numbers


def come_back(numbers: NDArray[Any]) -> CodedTensor:
    coded = encode_tensor(patterns(numbers))
    assert np.array_equal(decode(coded, numbers.size, numbers.itemsize), patterns(numbers))
    return coded


@given(dtype=st.sampled_from(DTYPES), size=st.integers(0, 600), seed=st.integers(0, 99), data=st.data())
def test_numbers_of_any_kind_come_back(dtype: str, size: int, seed: int, data: st.DataObject) -> None:
    share = data.draw(st.sampled_from([0.0, 0.02, 0.3, 0.7, 1.0]), "of zeros")
    num_values = data.draw(st.sampled_from([1, 2, 16, 255, 256, 257, 10**6]), "values")
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 256, (num_values if num_values < 600 else size) * np.dtype(dtype).itemsize, np.uint8)
    values = values.view(dtype)
    numbers = rng.choice(values, size) if size else values[:0]
    numbers[rng.random(size) < share] = 0
    come_back(numbers)


@pytest.mark.parametrize("numbers", [np.float32(3), np.zeros((0, 3), np.float16), np.zeros((4, 0)), np.int64(-1)])
def test_numbers_without_axes_or_without_numbers(numbers: Any) -> None:
    come_back(np.asarray(numbers))


def test_signs_of_zero_and_payloads_of_nan_survive() -> None:
    bits = np.array([0x00000000, 0x80000000, 0x7FC00000, 0x7FC00001, 0xFFC12345, 0x7F800001, 0xFF800000], np.uint32)
    come_back(np.tile(bits, 50).view(np.float32))
    come_back(np.where(np.arange(5000) % 9, np.uint32(0x80000000), np.uint32(0x7FC00001)).view(np.float32))


def test_pruned_and_clustered_weights_take_what_their_entropy_says() -> None:
    rng = np.random.default_rng(0)
    weights = rng.choice(np.linspace(-1, 1, 16, dtype=np.float32), 200_000)
    weights[rng.random(weights.size) > 0.1] = 0
    coded = come_back(weights)
    assert isinstance(coded.coding, Sparse)
    assert isinstance(coded.coding.kept, Palette)
    entropy_bits = -(0.1 * np.log2(0.1) + 0.9 * np.log2(0.9)) + 0.1 * 4
    assert coded.num_bytes < 1.03 * weights.size * entropy_bits / 8


def test_the_most_frequent_value_need_not_be_zero() -> None:
    weights = np.full(5000, np.float32(0.25))
    weights[::50] = np.arange(100)
    assert come_back(weights).num_bytes < 500


def test_gaps_of_any_length() -> None:
    for lengths in ([0, 254, 255, 256], [509, 510, 511, 0], [100_000, 0, 0, 254]):
        positions = np.cumsum(np.array(lengths) + 1) - 1
        numbers = np.zeros(positions[-1] + 300, np.float32)
        numbers[positions] = np.arange(1, 5)
        assert len(encode_gaps(positions)) == sum(length // 255 + 1 for length in lengths)
        assert isinstance(come_back(numbers).coding, Sparse)


def test_more_values_than_a_palette_has() -> None:
    numbers = np.arange(2**16 + 1, dtype=np.float32)
    assert isinstance(come_back(numbers).coding, Plain)
    many = np.repeat(np.random.default_rng(0).permutation(2**16 + 1)[:2000].astype(np.float32), 40)
    assert isinstance(come_back(np.random.default_rng(0).permutation(many)).coding, Palette)


def stored(content: bytes) -> Stream:
    return Stream(Method.STORED, len(content))


WRONG: dict[str, tuple[Coding, bytes, str]] = {
    "planes of another width": (Plain((STORED,)), b"", "4 bytes are stored in 1 planes"),
    "a palette larger than the tensor": (Palette(9, Plain(()), Plain(())), b"", "palette of 9 values"),
    "an index behind the palette": (
        Palette(2, Plain((stored(b"ab"),) * 4), Plain((stored(b"abc"),))),
        b"abababab" + bytes([0, 1, 2]),
        "an index of 2 points behind",
    ),
    "more kept than there are": (Sparse(0, 4, 4, STORED, Plain(())), b"", "4 of 3 numbers"),
    "fewer gaps than kept": (Sparse(0, 1, 2, STORED, Plain(())), b"", "1 gaps"),
    "a background too wide": (Sparse(2**32, 0, 0, STORED, Plain(())), b"", "no number of 4 bytes"),
    "gaps that lead out": (
        Sparse(0, 1, 1, stored(b"a"), Plain((stored(b"a"),) * 4)),
        bytes([3]) + b"abcd",
        "lead out of a tensor of 3",
    ),
    "more places than kept": (Sparse(0, 2, 0, stored(b"ab"), Plain((STORED,) * 4)), bytes(2), "lead out"),
    "fewer places than kept": (
        Sparse(0, 1, 1, stored(b"a"), Plain((stored(b"a"),) * 4)),
        bytes([255]) + b"abcd",
        "lead out",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_coding_that_does_not_fit_three_numbers(what: str) -> None:
    coding, payload, message = WRONG[what]
    with pytest.raises(InvalidPackage, match=message):
        decode(CodedTensor(coding, payload), 3, 4)


def test_kept_numbers_without_a_place() -> None:
    coding = Sparse(0, 1, 1, stored(b"a"), Plain((stored(b"a"),)))
    with pytest.raises(InvalidPackage, match="1 numbers have 0 places"):
        decode(CodedTensor(coding, bytes([255]) + b"a"), 300, 1)


@given(place=st.integers(0, 10**6), value=st.integers(0, 255), size=st.integers(0, 3000))
def test_a_damaged_tensor_is_decoded_to_something_or_refused(place: int, value: int, size: int) -> None:
    numbers = np.zeros(2000, np.float32)
    numbers[::7] = np.arange(286) % 20
    coded = encode_tensor(patterns(numbers))
    described = bytearray(msgspec.msgpack.encode(coded.coding) + coded.payload)
    described[place % len(described)] = value
    length = len(described) - len(coded.payload)
    with suppress(InvalidPackage, msgspec.MsgspecError):
        coding = msgspec.msgpack.decode(described[:length], type=Coding)
        decode(CodedTensor(coding, bytes(described[length:])), size, 4)
