"""The operators of an ONNX file, read from its bytes: the server's image has no library for that format.

Only what is asked for is read, so that weights of gigabytes are passed over. Field numbers are those of onnx.proto.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tasks.errors import InvalidPackage

MODEL_GRAPH, MODEL_FUNCTION = 7, 25
GRAPH_NODE, GRAPH_INITIALIZER = 1, 5
FUNCTION_NODE = 7
NODE_INPUT, NODE_OPERATOR, NODE_ATTRIBUTE, NODE_DOMAIN = 1, 4, 5, 7
ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS = 6, 11
TENSOR_TYPE, TENSOR_NAME = 2, 8

VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5
"""How the value of a field is written."""
MAX_VARINT_BYTES = 10
MAX_DEPTH = 16
"""Of graphs within operators of graphs."""


class Operator(NamedTuple):
    """`domain`: empty for ONNX's own."""

    domain: str
    name: str
    inputs: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.domain}.{self.name}" if self.domain else self.name


@dataclass
class Operators:
    """All of a file, graphs within operators included. `weight_types`: name of a weight → its type as ONNX counts."""

    nodes: list[Operator] = field(default_factory=list)
    weight_types: dict[str, int] = field(default_factory=dict)


def read_operators(path: Path) -> Operators:
    """Raises InvalidPackage for a file that is no ONNX model."""
    found = Operators()
    try:
        with path.open("rb") as file:
            # Unmapped with the last view of it, of which the frames of an error may hold some.
            model = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        read_model(model, found)
    except (ValueError, IndexError) as error:
        raise InvalidPackage(f"{path} is not an ONNX model: {error}") from error
    return found


def read_model(model: memoryview, found: Operators) -> None:
    for number, value in fields(model):
        if number == MODEL_GRAPH and isinstance(value, memoryview):
            read_graph(value, found, MAX_DEPTH)
        elif number == MODEL_FUNCTION and isinstance(value, memoryview):
            for inner, node in fields(value):
                if inner == FUNCTION_NODE and isinstance(node, memoryview):
                    read_node(node, found, MAX_DEPTH)


def read_graph(graph: memoryview, found: Operators, depth: int) -> None:
    if depth == 0:
        raise ValueError(f"graphs lie more than {MAX_DEPTH} deep in each other")
    for number, value in fields(graph):
        if number == GRAPH_NODE and isinstance(value, memoryview):
            read_node(value, found, depth)
        elif number == GRAPH_INITIALIZER and isinstance(value, memoryview):
            tensor = dict(fields(value))
            name, element_type = tensor.get(TENSOR_NAME), tensor.get(TENSOR_TYPE)
            if isinstance(name, memoryview) and isinstance(element_type, int):
                found.weight_types[text(name)] = element_type


def read_node(node: memoryview, found: Operators, depth: int) -> None:
    words: Mapping[int, list[str]] = {NODE_INPUT: [], NODE_OPERATOR: [], NODE_DOMAIN: []}
    for number, value in fields(node):
        if not isinstance(value, memoryview):
            continue
        if number in words:
            words[number].append(text(value))
        elif number == NODE_ATTRIBUTE:
            for inner, graph in fields(value):
                if inner in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS) and isinstance(graph, memoryview):
                    read_graph(graph, found, depth - 1)
    domain = "".join(words[NODE_DOMAIN]).removeprefix("ai.onnx")
    found.nodes.append(Operator(domain, "".join(words[NODE_OPERATOR]), tuple(words[NODE_INPUT])))


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The number and the value of every field, in the order of the bytes: a number, or the bytes where they lie.

    Raises ValueError or IndexError where the bytes are no message."""
    position = 0
    while position < len(message):
        key, position = varint(message, position)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ValueError("a field has the number 0")
        if kind == VARINT:
            value, position = varint(message, position)
            yield number, value
            continue
        if kind not in (FIXED_64, BYTES, FIXED_32):
            raise ValueError(f"a field is written in the unknown way {kind}")
        length, position = varint(message, position) if kind == BYTES else ({FIXED_64: 8, FIXED_32: 4}[kind], position)
        if position + length > len(message):
            raise ValueError("it ends within a field")
        yield number, message[position : position + length]
        position += length


def varint(message: memoryview, position: int) -> tuple[int, int]:
    """The number there, seven bits in each byte, and the position behind it."""
    value = 0
    for index in range(MAX_VARINT_BYTES):
        byte = message[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise ValueError("a number has more than 64 bits")


def text(value: memoryview) -> str:
    return bytes(value).decode("utf-8", errors="replace")
