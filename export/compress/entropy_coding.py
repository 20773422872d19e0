"""The storage side of "Deep Compression" (Han et al., 2016): an ONNX file → a coded graph, the same to the bit.

What a network gains by it is decided before: pruned to zeros and clustered to few values its weights take a fraction of
their size, while other float weights take hardly less than they have. The server decodes at load; nothing runs faster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from export.compress.storage_stages import StorageStages, add_stages, measure_stages
from export.compress.strip_graph import strip_graph
from export.compress.technique import StorageTechnique
from registry.coded_graph import WEIGHTS_FILE, Segment, encode_graph, read_coded_graph, record_of_content
from registry.coding_tensor import CodedTensor, Coding, Palette, Patterns, Plain, encode_tensor
from registry.manifest import DecodedFiles

MIN_BYTES = 128
"""Smaller tensors stay in the graph, which is coded as a whole: to say where they lie would take more."""
MIN_INTEGER_BYTES = 4096
"""Integers below may be shapes, which ONNX Runtime wants to see before it is given any weights."""
MAX_JOINED_BYTES = 2**16
"""Smaller tensors without few values or zeros are coded together: biases, normalisations."""
INTEGERS = frozenset({TensorProto.INT64, TensorProto.INT32})


class EntropyCoding(StorageTechnique, frozen=True, kw_only=True, tag="entropy_coding"):
    """The finished graph is stored coded. Of use after steps that make zeros or few values."""


class Weight(NamedTuple):
    """An initializer of the graph, and its numbers."""

    proto: Any
    numbers: Patterns


class Part(NamedTuple):
    """Weights of one width that are coded together."""

    weights: tuple[Weight, ...]
    coded: CodedTensor

    @property
    def numbers(self) -> Patterns:
        return join(self.weights)


@dataclass(frozen=True)
class StoredWeights:
    """The tensors of one part as they are stored. `coding` says how, in words."""

    names: tuple[str, ...]
    coding: str
    stages: StorageStages


@dataclass(frozen=True)
class StoredGraph:
    """A coded graph and what a manifest says of it. `stages` are of the whole file: its graph counts in each."""

    path: Path
    decodes_to: DecodedFiles
    weights: tuple[StoredWeights, ...]
    stages: StorageStages


def store_coded(source: Path, target: Path) -> StoredGraph:
    """Codes the ONNX file `source`, wherever its weights are, into the file `target`, and decodes that again: raises
    InvalidPackage if a single bit were lost."""
    model = onnx.load(source)
    strip_graph(model)
    parts = join_small([Part((each,), encode_tensor(each.numbers)) for each in take_weights(model)])
    move_weights(parts)
    graph, content = model.SerializeToString(deterministic=True), b"".join(each.numbers.tobytes() for each in parts)
    target.write_bytes(encode_graph(graph, [(segment_of(each), each.coded) for each in parts]))
    decodes_to = DecodedFiles(graph=record_of_content(graph), weights=record_of_content(content))
    read_coded_graph(target, decodes_to)
    weights = tuple(describe(each) for each in parts)
    rest = target.stat().st_size - sum(each.stages.coded for each in weights)
    whole = add_stages([StorageStages(len(graph), len(graph), len(graph), rest), *(each.stages for each in weights)])
    return StoredGraph(target, decodes_to, weights, whole)


def take_weights(model: Any) -> Iterator[Weight]:
    """The initializers that are stored outside the graph, the widest numbers first: so each lies where the address of a
    number is a multiple of its width, whatever comes before."""
    weights = [Weight(proto, patterns_of(proto)) for proto in model.graph.initializer if is_numeric(proto)]
    large = [each for each in weights if each.numbers.nbytes >= min_bytes(each.proto.data_type)]
    yield from sorted(large, key=lambda each: -each.numbers.itemsize)


def is_numeric(proto: Any) -> bool:
    return bool(proto.data_type != TensorProto.STRING)


def min_bytes(data_type: int) -> int:
    return MIN_INTEGER_BYTES if data_type in INTEGERS else MIN_BYTES


def patterns_of(proto: Any) -> Patterns:
    """The very bytes of a tensor as unsigned integers. Numbers of less than a byte are taken as packed; of a pair, each
    half is taken as a number."""
    raw = proto.raw_data or numpy_helper.from_array(numpy_helper.to_array(proto)).raw_data
    width = min(8, helper.tensor_dtype_to_np_dtype(proto.data_type).itemsize)
    return np.frombuffer(raw, f"<u{width}")


def join_small(parts: Sequence[Part]) -> list[Part]:
    """Lets small tensors that are stored number by number share their streams, where that is shorter."""
    joined = [each for each in parts if not is_small(each)]
    for width in sorted({each.numbers.itemsize for each in parts}, reverse=True):
        small = [each for each in parts if is_small(each) and each.numbers.itemsize == width]
        weights = tuple(weight for each in small for weight in each.weights)
        together = [Part(weights, encode_tensor(join(weights)))] if weights else []
        joined += min(together, small, key=lambda some: sum(each.coded.num_bytes for each in some))
    return sorted(joined, key=lambda each: -each.numbers.itemsize)


def is_small(part: Part) -> bool:
    return isinstance(part.coded.coding, Plain) and part.numbers.nbytes < MAX_JOINED_BYTES


def join(weights: Sequence[Weight]) -> Patterns:
    return np.concatenate([each.numbers for each in weights])


def move_weights(parts: Sequence[Part]) -> None:
    """Empties the initializers, and writes into each where its numbers are."""
    offset = 0
    for weight in (weight for part in parts for weight in part.weights):
        for field in ("float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
            weight.proto.ClearField(field)
        # It only changes data of this kind, and throws the bytes away itself.
        weight.proto.raw_data = b""
        external_data_helper.set_external_data(weight.proto, WEIGHTS_FILE, offset, weight.numbers.nbytes)
        weight.proto.ClearField("raw_data")
        offset += weight.numbers.nbytes


def segment_of(part: Part) -> Segment:
    numbers = part.numbers
    return Segment(numbers.size, numbers.itemsize, part.coded.coding)  # type: ignore[arg-type]


def describe(part: Part) -> StoredWeights:
    names = tuple(weight.proto.name for weight in part.weights)
    return StoredWeights(names, name_coding(part.coded.coding), measure_stages(part.numbers, part.coded.num_bytes))


def name_coding(coding: Coding) -> str:
    """In the words of a report."""
    if isinstance(coding, Plain):
        return "numbers"
    if isinstance(coding, Palette):
        return f"{coding.num_values} values"
    return f"{coding.num_kept} kept, {name_coding(coding.kept)}"
