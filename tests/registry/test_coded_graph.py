"""A coded graph decodes to what it was made of, or is refused: damaged files raise nothing but InvalidPackage."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.coded_graph import (
    MAX_DECODED_BYTES,
    PREAMBLE,
    Header,
    Segment,
    encode_graph,
    read_coded_graph,
    record_of_content,
)
from registry.coding_stream import Method, Payload, Stream, decode_stream, encode_stream
from registry.coding_tensor import Patterns, Plain, encode_tensor
from registry.manifest import DecodedFiles, FileRecord
from tasks.errors import InvalidPackage

GRAPH = b"not an ONNX file, but as good " * 9


def parts() -> list[Patterns]:
    """Segments of every width: full, sparse, of few values, empty."""
    rng = np.random.default_rng(0)
    sparse = np.where(rng.random(3000) < 0.1, rng.choice(np.arange(5, dtype=np.uint32), 3000), np.uint32(0))
    wide = rng.integers(0, 2**63, 50, np.uint64)
    return [wide, sparse, rng.integers(0, 9, 700, np.uint16), rng.integers(0, 256, 99, np.uint8), np.zeros(0, np.uint8)]


CONTENT = b"".join(each.tobytes() for each in parts())
EXPECTED = DecodedFiles(graph=record_of_content(GRAPH), weights=record_of_content(CONTENT))


def encode(segments: list[Patterns]) -> bytes:
    coded = [encode_tensor(each) for each in segments]
    described = [
        Segment(each.size, each.itemsize, tensor.coding)  # type: ignore[arg-type]
        for each, tensor in zip(segments, coded, strict=True)
    ]
    return encode_graph(GRAPH, zip(described, coded, strict=True))


FILE = encode(parts())


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("coded") / "model.coded"


def with_header(header: Header) -> bytes:
    coded = encode_stream(packed := msgspec.msgpack.encode(header))
    return PREAMBLE.pack(b"TGCODED1", coded.stream.method, coded.stream.num_coded, len(packed)) + coded.payload


def refused(path: Path, content: bytes, message: str, expected: DecodedFiles = EXPECTED) -> None:
    path.write_bytes(content)
    with pytest.raises(InvalidPackage, match=message) as caught:
        read_coded_graph(path, expected)
    assert str(path) in str(caught.value)


def test_graph_and_weights_come_back(path: Path) -> None:
    path.write_bytes(FILE)
    decoded = read_coded_graph(path, EXPECTED)
    assert decoded.graph == GRAPH
    assert decoded.weights.tobytes() == CONTENT
    assert len(FILE) < len(GRAPH + CONTENT) / 3


def test_a_graph_without_weights(path: Path) -> None:
    path.write_bytes(encode_graph(GRAPH, []))
    assert read_coded_graph(path, DecodedFiles(graph=EXPECTED.graph, weights=record_of_content(b""))).weights.size == 0


def test_other_weights_than_were_sealed(path: Path) -> None:
    other = parts()
    other[1][17] ^= np.uint32(1)
    refused(path, encode(other), "the hash of its weights is not the one in the manifest")
    refused(path, FILE, "hash of its graph", msgspec.structs.replace(EXPECTED, graph=changed(0)))


def changed(more_bytes: int) -> FileRecord:
    return FileRecord(sha256=hashlib.sha256(b"").hexdigest(), num_bytes=len(GRAPH) + more_bytes)


def test_sizes_are_compared_before_anything_is_decoded(path: Path) -> None:
    longer = FileRecord(sha256=EXPECTED.weights.sha256, num_bytes=len(CONTENT) + 1)
    refused(path, FILE, "the manifest says", msgspec.structs.replace(EXPECTED, weights=longer))
    refused(path, FILE, "the manifest says", msgspec.structs.replace(EXPECTED, graph=changed(1)))


@pytest.mark.parametrize("num_numbers", [2**40, 2**53])
def test_a_few_bytes_that_stand_for_more_than_any_memory(path: Path, num_numbers: int) -> None:
    hollow = Segment(num_numbers, 8, Plain((Stream(Method.DEFLATE, 0),) * 8))
    graph = encode_stream(GRAPH)
    content = with_header(Header(len(GRAPH), graph.stream, (hollow,))) + graph.payload
    claimed = FileRecord(sha256=EXPECTED.weights.sha256, num_bytes=min(num_numbers * 8, 2**53))
    refused(
        path, content, f"at most {MAX_DECODED_BYTES:,} are decoded", DecodedFiles(graph=EXPECTED.graph, weights=claimed)
    )


WRONG = {
    "nothing": (b"", "17 bytes too early"),
    "an ONNX file": (b"\x08\x0a" + bytes(99), "begins with"),
    "another version": (FILE.replace(b"TGCODED1", b"TGCODED2"), "TGCODED2"),
    "an unknown method": (PREAMBLE.pack(b"TGCODED1", 9, 5, 5) + bytes(5), "method 9"),
    "an endless header": (PREAMBLE.pack(b"TGCODED1", 0, 5, 2**31) + bytes(5), "its header of 2,147,483,648 bytes"),
    "a header that is something else": (PREAMBLE.pack(b"TGCODED1", 0, 4, 4) + b"abcd", "header is damaged"),
    "a header of other types": (PREAMBLE.pack(b"TGCODED1", 0, 1, 1) + b"\x90", "header is damaged"),
    "half of it": (FILE[: len(FILE) // 2], "too early"),
    "more behind it": (FILE + b"!", "1 bytes are left over"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_file_that_is_something_else(path: Path, what: str) -> None:
    content, message = WRONG[what]
    refused(path, content, message)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidPackage, match="can not be decoded"):
        read_coded_graph(tmp_path / "nothing.coded", EXPECTED)


@settings(max_examples=200)
@given(place=st.floats(0, 1, exclude_max=True), patch=st.binary(max_size=8), cut=st.integers(0, 40))
def test_damaged_files(path: Path, place: float, patch: bytes, cut: int) -> None:
    start = int(place * len(FILE))
    path.write_bytes(FILE[:start] + patch + FILE[start + cut :])
    with suppress(InvalidPackage):
        decoded = read_coded_graph(path, EXPECTED)
        assert decoded.weights.tobytes() == CONTENT


@settings(max_examples=200)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=6))
def test_damaged_headers(path: Path, place: int, patch: bytes) -> None:
    """Behind whatever codes it: damage of the codes rarely gets as far as to what they stand for."""
    _, method, num_coded, num_bytes = PREAMBLE.unpack(FILE[: PREAMBLE.size])
    coded, streams = FILE[PREAMBLE.size : PREAMBLE.size + num_coded], FILE[PREAMBLE.size + num_coded :]
    packed = bytearray(unpack(method, coded, num_bytes))
    start = place % len(packed)
    packed[start : start + len(patch)] = patch
    path.write_bytes(PREAMBLE.pack(b"TGCODED1", 0, len(packed), len(packed)) + packed + streams)
    with suppress(InvalidPackage):
        decoded = read_coded_graph(path, EXPECTED)
        assert decoded.weights.tobytes() == CONTENT


def unpack(method: int, coded: bytes, num_bytes: int) -> bytes:
    return bytes(decode_stream(Stream(Method(method), len(coded)), num_bytes, Payload(memoryview(coded))))
