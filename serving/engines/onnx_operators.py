"""The operators of an ONNX file, read from its bytes: the server's image has no library for that format.

Only what is asked for is read, so that weights of gigabytes are passed over. Field numbers are those of onnx.proto.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from serving.engines.protobuf_fields import read_fields
from tasks.errors import InvalidPackage

MODEL_GRAPH, MODEL_FUNCTION = 7, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_INPUT = 1, 5, 11
FUNCTION_NODE = 7
NODE_INPUT, NODE_OUTPUT, NODE_OPERATOR, NODE_ATTRIBUTE, NODE_DOMAIN = 1, 2, 4, 5, 7
ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS = 6, 11
TENSOR_TYPE, TENSOR_NAME = 2, 8
VALUE_NAME, VALUE_TYPE, TYPE_TENSOR, TENSOR_ELEMENT = 1, 2, 1, 1
UINT8 = 2
"""As TensorProto.DataType counts."""
OWN_DOMAIN = "ai.onnx"
"""ONNX's own, which is left out as a rule."""
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
    """All of a file, graphs within operators included. `weight_types`, `input_types`: name of a weight or of an input
    of the whole graph → its type as ONNX counts."""

    nodes: list[Operator] = field(default_factory=list)
    weight_types: dict[str, int] = field(default_factory=dict)
    input_types: dict[str, int] = field(default_factory=dict)


def read_operators(path: Path) -> Operators:
    """Raises InvalidPackage for a file that is no ONNX model."""
    found = Operators()
    try:
        with path.open("rb") as file:
            # Unmapped with the last view of it, of which the frames of an error may hold some.
            model = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        for each in read_fields(model):
            if each.number == MODEL_GRAPH:
                found.input_types.update(read_input_types(each.message))
                read_graph(each.message, found, MAX_DEPTH)
            elif each.number == MODEL_FUNCTION:
                read_nodes(each.message, FUNCTION_NODE, found, MAX_DEPTH)
    except (ValueError, IndexError) as error:
        raise InvalidPackage(f"{path} is not an ONNX model: {error}") from error
    return found


def read_graph(graph: memoryview, found: Operators, depth: int) -> None:
    if depth == 0:
        raise ValueError(f"graphs lie more than {MAX_DEPTH} deep in each other")
    read_nodes(graph, GRAPH_NODE, found, depth)
    for each in read_fields(graph):
        if each.number == GRAPH_INITIALIZER:
            tensor = {part.number: part for part in read_fields(each.message)}
            if TENSOR_NAME in tensor and TENSOR_TYPE in tensor:
                found.weight_types[tensor[TENSOR_NAME].text] = as_number(tensor[TENSOR_TYPE].value)


def read_nodes(holder: memoryview, number: int, found: Operators, depth: int) -> None:
    """The nodes of a graph or a function, and the graphs that they hold themselves."""
    for each in read_fields(holder):
        if each.number == number:
            found.nodes.append(read_operator(each.message))
            for graph in inner_graphs(each.message):
                read_graph(graph, found, depth - 1)


def read_operator(node: memoryview) -> Operator:
    parts = list(read_fields(node))
    domain, name = (
        "".join(part.text for part in parts if part.number == number) for number in (NODE_DOMAIN, NODE_OPERATOR)
    )
    inputs = tuple(part.text for part in parts if part.number == NODE_INPUT)
    return Operator("" if domain == OWN_DOMAIN else domain, name, inputs)


def inner_graphs(node: memoryview) -> Iterator[memoryview]:
    for attribute in read_fields(node):
        if attribute.number == NODE_ATTRIBUTE:
            for part in read_fields(attribute.message):
                if part.number in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS):
                    yield part.message


def read_input_types(graph: memoryview) -> dict[str, int]:
    """Name → element type of every input that is a tensor."""
    types: dict[str, int] = {}
    for each in read_fields(graph):
        if each.number == GRAPH_INPUT:
            value = {part.number: part for part in read_fields(each.message)}
            for kind in read_fields(value[VALUE_TYPE].message) if VALUE_TYPE in value else ():
                if kind.number == TYPE_TENSOR and VALUE_NAME in value:
                    tensor = {part.number: part.value for part in read_fields(kind.message)}
                    types[value[VALUE_NAME].text] = as_number(tensor.get(TENSOR_ELEMENT, 0))
    return types


def as_number(value: int | memoryview) -> int:
    if not isinstance(value, int):
        raise ValueError("a type is written as text where a number was expected")
    return value
