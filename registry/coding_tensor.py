"""The numbers of a tensor as they are stored: bit patterns, so that −0, NaN and its payload come back as they were.

Three codings, after "Deep Compression" (Han et al., 2016): `Plain` keeps each byte of the numbers in a stream of its
own (the exponents of floats are alike, their mantissas are not), `Palette` a table of the few values there are and an
index for each number, and `Sparse` where the numbers are that differ from the most frequent one, by the gaps between
them. The gaps, tables and indices are entropy coded, see `registry.coding_stream`.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from registry.coding_stream import Payload, Stream, decode_stream, encode_stream
from registry.manifest import Count
from tasks.errors import InvalidPackage

Patterns: TypeAlias = NDArray[np.unsignedinteger[Any]]
"""One axis of little-endian unsigned integers, as wide as the numbers they stand for."""
MAX_PALETTE = 2**16
ESCAPE = 255
"""A gap byte that says: so many numbers further, and there is still none to be put."""
MIN_BACKGROUND_SHARE, SURE_BACKGROUND_SHARE = 0.2, 0.6
"""Of the most frequent value: below the first gaps cost more than they save, above the second they always save."""
SAMPLE_SIZE = 2**17
CHUNK = 2**20
"""Numbers that are put in place at once: what that takes of memory is small beside the tensor."""


class Plain(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=0):
    """The lowest byte of every number, then the next higher one."""

    planes: tuple[Stream, ...]


class Palette(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """`indices` into a table of `num_values`, of one byte each where that is enough, else two."""

    num_values: Annotated[int, msgspec.Meta(ge=1, le=MAX_PALETTE)]
    values: Plain
    indices: Plain


class Sparse(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """All numbers are `background`, but for `num_kept`: before each lie as many of the former as its gap says."""

    background: Annotated[int, msgspec.Meta(ge=0)]
    num_gaps: Count
    num_kept: Count
    gaps: Stream
    kept: Plain | Palette


Coding: TypeAlias = Plain | Palette | Sparse


class CodedTensor(NamedTuple):
    """A coding and the bytes of its streams, in the order of its fields."""

    coding: Coding
    payload: bytes

    @property
    def num_bytes(self) -> int:
        """With its description."""
        return len(self.payload) + len(msgspec.msgpack.encode(self.coding))


def encode_tensor(numbers: Patterns) -> CodedTensor:
    """The shortest of the codings that may be."""
    background, share = find_background(numbers)
    if share < MIN_BACKGROUND_SHARE:
        return encode_dense(numbers)
    sparse = encode_sparse(numbers, background)
    if share > SURE_BACKGROUND_SHARE and numbers.size > SAMPLE_SIZE:
        return sparse
    return min(sparse, encode_dense(numbers), key=lambda each: each.num_bytes)


def encode_dense(numbers: Patterns) -> CodedTensor:
    """A palette where there are few values, else the numbers themselves."""
    palette = find_palette(numbers)
    if palette is None:
        return encode_plain(numbers)
    indices = np.searchsorted(palette, numbers).astype(index_type(palette.size))
    coded = encode_plain(palette), encode_plain(indices)
    coding = Palette(palette.size, *(each.coding for each in coded))  # type: ignore[arg-type]
    with_palette = CodedTensor(coding, b"".join(each.payload for each in coded))
    if palette.nbytes * 8 < numbers.size:
        return with_palette
    return min(with_palette, encode_plain(numbers), key=lambda each: each.num_bytes)


def encode_plain(numbers: Patterns) -> CodedTensor:
    planes = numbers.view(np.uint8).reshape(-1, numbers.itemsize)
    coded = [encode_stream(np.ascontiguousarray(planes[:, byte]).tobytes()) for byte in range(numbers.itemsize)]
    return CodedTensor(Plain(tuple(each.stream for each in coded)), b"".join(each.payload for each in coded))


def encode_sparse(numbers: Patterns, background: int) -> CodedTensor:
    is_kept = numbers != background
    gaps = encode_gaps(np.flatnonzero(is_kept))
    coded_gaps, kept = encode_stream(gaps.tobytes()), encode_dense(numbers[is_kept])
    coding = Sparse(background, gaps.size, int(is_kept.sum()), coded_gaps.stream, kept.coding)  # type: ignore[arg-type]
    return CodedTensor(coding, coded_gaps.payload + kept.payload)


def find_background(numbers: Patterns) -> tuple[int, float]:
    """The most frequent value and its share, as a sample has it."""
    if not numbers.size:
        return 0, 0.0
    sample = numbers[:: -(-numbers.size // SAMPLE_SIZE)]
    values, counts = np.unique(sample, return_counts=True)
    return int(values[counts.argmax()]), float(counts.max() / sample.size)


def find_palette(numbers: Patterns) -> Patterns | None:
    """The values there are, rising; None where they are too many or none."""
    if not numbers.size or np.unique(numbers[:SAMPLE_SIZE]).size > MAX_PALETTE:
        return None
    values = np.unique(numbers)
    return values if values.size <= MAX_PALETTE else None


def index_type(num_values: int) -> np.dtype[Any]:
    return np.dtype("u1" if num_values <= 2**8 else "<u2")


def find_gaps(positions: NDArray[np.intp]) -> NDArray[np.intp]:
    """How many positions are left out before each of these, which rise."""
    return np.diff(positions, prepend=-1) - 1


def count_gaps(positions: NDArray[np.intp], escape: int) -> int:
    """How many symbols tell the positions, if a symbol counts to `escape` − 1 or says that the gap goes on."""
    return int((find_gaps(positions) // escape + 1).sum())


def encode_gaps(positions: NDArray[np.intp]) -> NDArray[np.uint8]:
    """A byte for each position, behind as many escapes as its gap takes."""
    gaps, coded = find_gaps(positions), np.full(count_gaps(positions, ESCAPE), ESCAPE, np.uint8)
    coded[np.cumsum(gaps // ESCAPE + 1) - 1] = gaps % ESCAPE
    return coded


def decode_tensor(coding: Coding, numbers: Patterns, payload: Payload) -> None:
    """Fills `numbers`. Raises InvalidPackage for a coding of other numbers than these."""
    match coding:
        case Plain():
            decode_plain(coding, numbers, payload)
        case Palette():
            decode_palette(coding, numbers, payload)
        case Sparse():
            decode_sparse(coding, numbers, payload)


def decode_plain(coding: Plain, numbers: Patterns, payload: Payload) -> None:
    if len(coding.planes) != numbers.itemsize:
        raise InvalidPackage(f"numbers of {numbers.itemsize} bytes are stored in {len(coding.planes)} planes")
    planes = numbers.view(np.uint8).reshape(-1, numbers.itemsize)
    for byte, stream in enumerate(coding.planes):
        planes[:, byte] = np.frombuffer(decode_stream(stream, numbers.size, payload), np.uint8)


def decode_palette(coding: Palette, numbers: Patterns, payload: Payload) -> None:
    if coding.num_values > numbers.size:
        raise InvalidPackage(f"{numbers.size:,} numbers have a palette of {coding.num_values:,} values")
    palette, indices = np.empty(coding.num_values, numbers.dtype), np.empty(numbers.size, index_type(coding.num_values))
    decode_plain(coding.values, palette, payload)
    decode_plain(coding.indices, indices, payload)
    if indices.max() >= coding.num_values:
        raise InvalidPackage(f"an index of {indices.max()} points behind a palette of {coding.num_values:,} values")
    for start in range(0, numbers.size, CHUNK):
        numbers[start : start + CHUNK] = palette[indices[start : start + CHUNK]]


def decode_sparse(coding: Sparse, numbers: Patterns, payload: Payload) -> None:
    if not coding.num_kept <= coding.num_gaps <= numbers.size:
        raise InvalidPackage(
            f"{coding.num_kept:,} of {numbers.size:,} numbers can not stand behind {coding.num_gaps:,} gaps"
        )
    if coding.background >= 2 ** (8 * numbers.itemsize):
        raise InvalidPackage(f"the background {coding.background} is no number of {numbers.itemsize} bytes")
    gaps = np.frombuffer(decode_stream(coding.gaps, coding.num_gaps, payload), np.uint8)
    kept = np.empty(coding.num_kept, numbers.dtype)
    decode_tensor(coding.kept, kept, payload)
    numbers.fill(coding.background)
    place(kept, gaps, numbers)


def place(kept: Patterns, gaps: NDArray[np.uint8], numbers: Patterns) -> None:
    """Writes each of `kept` over the number that its gap leads to."""
    passed, num_placed = 0, 0
    for start in range(0, gaps.size, CHUNK):
        steps = gaps[start : start + CHUNK].astype(np.int64)
        ends_here = steps != ESCAPE
        ends = passed + np.cumsum(steps + ends_here)
        positions, passed = ends[ends_here] - 1, int(ends[-1])
        if passed > numbers.size or num_placed + positions.size > kept.size:
            raise InvalidPackage(f"its gaps lead out of a tensor of {numbers.size:,} numbers")
        numbers[positions] = kept[num_placed : num_placed + positions.size]
        num_placed += positions.size
    if num_placed != kept.size:
        raise InvalidPackage(f"{kept.size:,} numbers have {num_placed:,} places")
