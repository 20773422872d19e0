"""A run of bytes as it is stored: as it is, or entropy coded by the standard library, whichever is shortest.

Huffman's code (zlib without its search for repetitions), deflate and LZMA's range coder, which spends fractions of a
bit on symbols that are frequent. Streams stand in a file one behind the other; what describes them stands before them.
"""

from __future__ import annotations

import lzma
import zlib
from enum import IntEnum
from typing import Any, NamedTuple

import msgspec
import numpy as np

from registry.manifest import Count
from tasks.errors import InvalidPackage

DICTIONARY_BYTES = 2**23
"""How far back LZMA may refer: its decoder sets aside as much."""
# Symbols here are indices and single bytes of numbers: neither their position nor the symbol before says much.
LZMA_FILTER: dict[str, Any] = {"id": lzma.FILTER_LZMA1, "dict_size": DICTIONARY_BYTES, "lc": 0, "lp": 0, "pb": 0}
INCOMPRESSIBLE_BITS = 7.98
"""Of entropy per byte: where nearly all values are as frequent, no code gains what it costs to try."""
SKEWED_BITS = 1.5
"""Of entropy per byte: below, Huffman's code wastes much, because it gives no symbol less than a whole bit."""
HUFFMAN_LEVEL, DEFLATE_LEVEL, MEMORY_LEVEL = 1, 6, 9


class Method(IntEnum):
    """How a stream is coded. Huffman's code alone is one that deflate's decoder reads."""

    STORED = 0
    DEFLATE = 1
    LZMA = 2


class Stream(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """`num_coded` bytes of the file. How many they decode to is known from what the stream is part of."""

    method: Method
    num_coded: Count


class CodedStream(NamedTuple):
    """A stream and its bytes."""

    stream: Stream
    payload: bytes


class Payload:
    """The coded bytes of a file, taken from the front."""

    def __init__(self, content: memoryview) -> None:
        self._rest = content

    def take(self, num_bytes: int) -> memoryview:
        """The next bytes. Raises InvalidPackage where there are not as many."""
        if num_bytes > len(self._rest):
            raise InvalidPackage(f"it ends {num_bytes - len(self._rest):,} bytes too early")
        taken, self._rest = self._rest[:num_bytes], self._rest[num_bytes:]
        return taken

    def expect_end(self) -> None:
        """Raises InvalidPackage where anything is left."""
        if len(self._rest):
            raise InvalidPackage(f"{len(self._rest):,} bytes are left over behind its last stream")


def encode_stream(content: bytes) -> CodedStream:
    """The shortest of all codings that may be: what is slow is tried where there is something to find."""
    payloads = {Method.STORED: content}
    entropy = entropy_bits(content)
    if entropy < INCOMPRESSIBLE_BITS:
        huffman = deflate(content, HUFFMAN_LEVEL, zlib.Z_HUFFMAN_ONLY)
        repetitions = deflate(content, DEFLATE_LEVEL, zlib.Z_DEFAULT_STRATEGY)
        payloads[Method.DEFLATE] = min(huffman, repetitions, key=len)
        if len(repetitions) < len(huffman) or entropy < SKEWED_BITS:
            payloads[Method.LZMA] = lzma.compress(content, format=lzma.FORMAT_RAW, filters=[LZMA_FILTER])
    method = min(payloads, key=lambda each: len(payloads[each]))
    return CodedStream(Stream(method, len(payloads[method])), payloads[method])


def deflate(content: bytes, level: int, strategy: int) -> bytes:
    compressor = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, MEMORY_LEVEL, strategy)
    return compressor.compress(content) + compressor.flush()


def entropy_bits(content: bytes) -> float:
    """Of one byte, if each were drawn by itself; 0 of none."""
    counts = np.bincount(np.frombuffer(content, np.uint8))
    shares = counts[counts > 0] / len(content)
    return float(-(shares * np.log2(shares)).sum())


def decode_stream(stream: Stream, num_bytes: int, payload: Payload) -> bytes | memoryview:
    """Exactly `num_bytes`, and never more in memory. Raises InvalidPackage where the stream holds anything else."""
    coded = payload.take(stream.num_coded)
    if stream.method is Method.STORED or not num_bytes:
        if len(coded) != num_bytes:
            raise InvalidPackage(f"a stream of {num_bytes:,} bytes is stored in {len(coded):,}")
        return coded
    decoder = open_decoder(stream.method)
    try:
        decoded: bytes = decoder.decompress(coded, num_bytes)
        rest = decoder.unconsumed_tail if stream.method is Method.DEFLATE else b""
        # What marks the end may still be unread behind the last byte.
        surplus = b"" if decoder.eof else decoder.decompress(rest, 1)
    except (zlib.error, lzma.LZMAError, EOFError) as error:
        raise InvalidPackage(f"a stream of {num_bytes:,} bytes can not be decoded: {error}") from error
    if len(decoded) != num_bytes or surplus or not decoder.eof or decoder.unused_data:
        raise InvalidPackage(f"a stream does not decode to the {num_bytes:,} bytes that it should have")
    return decoded


def open_decoder(method: Method) -> Any:
    """Both kinds of decoder stop at a given number of bytes."""
    if method is Method.DEFLATE:
        return zlib.decompressobj(-zlib.MAX_WBITS)
    return lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=[LZMA_FILTER])
