"""A coded graph: an ONNX file and its weights in one file, as few bytes as a lossless code makes of them.

    8 bytes     the magic, with the version of this form
    9 bytes     how the header is coded: method, its coded and its decoded length
    …           the header (MessagePack): the coding of the graph, and of every segment of the weights
    …           the streams that the header describes, in its order

It decodes to the graph, whose initializers refer to places in a file `weights.bin`, and to the content of that file:
segments of numbers of one width each. Names, types and shapes stand in the graph alone.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from registry.coding_stream import Method, Payload, Stream, decode_stream, encode_stream
from registry.coding_tensor import CodedTensor, Coding, decode_tensor
from registry.manifest import Count, DecodedFiles, FileRecord
from tasks.errors import InvalidPackage

WEIGHTS_FILE = "weights.bin"
"""What the initializers of a decoded graph call the file that they lie in."""
MAGIC = b"TGCODED1"
PREAMBLE = struct.Struct("<8sBII")
MAX_HEADER_BYTES = 16 * 2**20
MAX_DECODED_BYTES = 16 * 2**30
"""What is larger was made to exhaust the memory of its reader: a few bytes of code can stand for any number of them."""


class Segment(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Numbers of `width` bytes that are coded together: a large tensor, or several small ones."""

    num_numbers: Count
    width: Literal[1, 2, 4, 8]
    coding: Coding


class Header(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the file holds, in its order."""

    num_graph_bytes: Count
    graph: Stream
    segments: tuple[Segment, ...]


class DecodedGraph(NamedTuple):
    """An ONNX file and the file that its initializers refer to."""

    graph: bytes
    weights: NDArray[np.uint8]


def encode_graph(graph: bytes, segments: Iterable[tuple[Segment, CodedTensor]]) -> bytes:
    """The whole file. The weights it decodes to are those of the segments, one behind the other."""
    coded_graph, segments = encode_stream(graph), list(segments)
    header = Header(len(graph), coded_graph.stream, tuple(segment for segment, _ in segments))
    packed = msgspec.msgpack.encode(header)
    coded_header = encode_stream(packed)
    preamble = PREAMBLE.pack(MAGIC, coded_header.stream.method, coded_header.stream.num_coded, len(packed))
    return b"".join((preamble, coded_header.payload, coded_graph.payload, *(coded.payload for _, coded in segments)))


def read_coded_graph(path: Path, expected: DecodedFiles) -> DecodedGraph:
    """Raises InvalidPackage for a file that does not decode to the very bytes that are expected."""
    try:
        payload = Payload(memoryview(path.read_bytes()))
        header = read_header(payload)
        check_size("graph", header.num_graph_bytes, expected.graph)
        check_size("weights", sum(each.num_numbers * each.width for each in header.segments), expected.weights)
        graph = bytes(decode_stream(header.graph, header.num_graph_bytes, payload))
        weights = np.empty(expected.weights.num_bytes, np.uint8)
        start = 0
        for segment in header.segments:
            stop = start + segment.num_numbers * segment.width
            decode_tensor(segment.coding, weights[start:stop].view(f"<u{segment.width}"), payload)
            start = stop
        payload.expect_end()
        check_hash("graph", graph, expected.graph)
        check_hash("weights", weights.data, expected.weights)
    except InvalidPackage as error:
        raise InvalidPackage(f"{path} does not decode to the graph that it was made of: {error}") from error
    except (OSError, MemoryError) as error:
        raise InvalidPackage(f"{path} can not be decoded: {error}") from error
    return DecodedGraph(graph, weights)


def read_header(payload: Payload) -> Header:
    magic, method, num_coded, num_bytes = PREAMBLE.unpack(payload.take(PREAMBLE.size))
    if magic != MAGIC:
        raise InvalidPackage(f"it begins with {magic!r} and not with {MAGIC!r}, as a coded graph does")
    if num_bytes > MAX_HEADER_BYTES or method not in list(Method):
        raise InvalidPackage(f"its header of {num_bytes:,} bytes is coded by method {method}: it is damaged")
    try:
        packed = decode_stream(Stream(Method(method), num_coded), num_bytes, payload)
        return msgspec.msgpack.decode(packed, type=Header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidPackage(f"its header is damaged: {error}") from error


def check_size(what: str, num_bytes: int, expected: FileRecord) -> None:
    """Before anything is set aside for it."""
    if num_bytes != expected.num_bytes or num_bytes > MAX_DECODED_BYTES:
        raise InvalidPackage(
            f"its {what} would have {num_bytes:,} bytes; the manifest says {expected.num_bytes:,}, and at most "
            f"{MAX_DECODED_BYTES:,} are decoded"
        )


def check_hash(what: str, content: bytes | memoryview, expected: FileRecord) -> None:
    """Raises InvalidPackage for a single bit that is not as it was."""
    if hashlib.sha256(content).hexdigest() != expected.sha256:
        raise InvalidPackage(f"the hash of its {what} is not the one in the manifest")


def record_of_content(content: bytes) -> FileRecord:
    """The hash and the length of what a file will hold."""
    return FileRecord(sha256=hashlib.sha256(content).hexdigest(), num_bytes=len(content))
