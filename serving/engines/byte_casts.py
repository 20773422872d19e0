"""Bytes only at the edges of a graph, as TensorRT wants them: it takes UINT8 from a caller and hands it out, and can do
nothing with it but cast it from or to a float.

Exported networks turn a picture's axes first, which moves a quarter of the memory, and cast then; a mask is cast to
bytes from the integers of an ArgMax. Here the cast of a picture goes in front, and every other cast from or to bytes
passes through a float, which holds each of their values, as does whoever asks for a picture's shape. The numbers stay
the same. The file is changed as bytes: see `serving.engines.onnx_operators`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.engines.onnx_operators import (
    GRAPH_NODE,
    MODEL_GRAPH,
    NODE_ATTRIBUTE,
    NODE_INPUT,
    NODE_OPERATOR,
    NODE_OUTPUT,
    UINT8,
    as_number,
    inner_graphs,
    read_input_types,
)
from serving.engines.protobuf_fields import Field, bytes_field, number_field, read_fields
from tasks.errors import InvalidPackage

GRAPH_OUTPUT, GRAPH_VALUE_INFO, VALUE_NAME = 12, 13, 1
ATTRIBUTE_NAME, ATTRIBUTE_NUMBER, ATTRIBUTE_TYPE = 1, 3, 20
TYPE_OF_A_NUMBER = 2
"""As AttributeProto.AttributeType counts."""
FLOAT, FLOAT16 = 1, 10
"""What TensorRT casts bytes from and to, as TensorProto.DataType counts."""
ADDED = "/through_float"


@dataclass(frozen=True)
class Node:
    """A node's fields, apart from what it reads and writes."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operator: str
    cast_to: int
    """0 for any other operator."""
    rest: tuple[Field, ...]

    @classmethod
    def read(cls, node: memoryview) -> Node:
        parts = list(read_fields(node))
        inputs, outputs = (
            tuple(part.text for part in parts if part.number == number) for number in (NODE_INPUT, NODE_OUTPUT)
        )
        operator = "".join(part.text for part in parts if part.number == NODE_OPERATOR)
        cast_to = 0
        for part in parts if operator == "Cast" else ():
            if part.number == NODE_ATTRIBUTE:
                attribute = {each.number: each for each in read_fields(part.message)}
                if attribute[ATTRIBUTE_NAME].text == "to":
                    cast_to = as_number(attribute[ATTRIBUTE_NUMBER].value)
        rest = tuple(part for part in parts if part.number not in (NODE_INPUT, NODE_OUTPUT))
        return cls(inputs, outputs, operator, cast_to, rest)

    def between(self, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
        """This node reading and writing other tensors, as a field of its graph."""
        names = [bytes_field(NODE_INPUT, name.encode()) for name in inputs]
        names += [bytes_field(NODE_OUTPUT, name.encode()) for name in outputs]
        return bytes_field(GRAPH_NODE, *names, *(part.whole for part in self.rest))


def move_casts(path: Path) -> None:
    """Rewrite an ONNX file. Raises InvalidPackage for a file that is none."""
    try:
        model = memoryview(path.read_bytes())
        parts = [
            bytes_field(MODEL_GRAPH, *rewrite_graph(each.message)) if each.number == MODEL_GRAPH else each.whole
            for each in read_fields(model)
        ]
    except (ValueError, IndexError, KeyError) as error:
        raise InvalidPackage(f"{path} is not an ONNX model: {error}") from error
    with path.open("wb") as file:
        file.writelines(parts)


def rewrite_graph(graph: memoryview) -> list[bytes | memoryview]:
    """The fields of the graph with all casts in their places."""
    fields = list(read_fields(graph))
    nodes = [Node.read(each.message) for each in fields if each.number == GRAPH_NODE]
    pictures = {name for name, kind in read_input_types(graph).items() if kind == UINT8}
    turned = find_turned(nodes, pictures, names_needed(fields))
    casts = {node.inputs[0]: node for node in nodes if node.operator == "Cast" and node.inputs[0] in turned}
    written: list[bytes | memoryview] = []
    remaining = iter(nodes)
    for each in fields:
        if each.number == GRAPH_VALUE_INFO:
            continue  # no engine needs what others found out about types, and some of it is true no more
        if each.number != GRAPH_NODE:
            written.append(each.whole)
            continue
        node = next(remaining)
        if node.outputs and node.outputs[0] in turned:
            written += cast_nodes(casts[node.outputs[0]], node.inputs[0], node.outputs[0], pictures)
        elif node.operator == "Cast" and node.inputs[0] in turned:
            written.append(turned[node.inputs[0]].between(node.inputs, node.outputs))
        elif node.operator == "Cast":
            written += cast_nodes(node, node.inputs[0], node.outputs[0], pictures)
        elif node.operator == "Shape" and node.inputs[0] in pictures:
            through = node.outputs[0] + ADDED
            written += [to_float(node.inputs[0], through), node.between([through], node.outputs)]
        else:
            written.append(each.whole)
    return written


def find_turned(nodes: Sequence[Node], pictures: set[str], readers: Counter[str]) -> dict[str, Node]:
    """By their outputs, the nodes that turn the axes of a picture for one cast and nobody else."""
    casts = {node.inputs[0] for node in nodes if node.operator == "Cast"}
    return {
        node.outputs[0]: node
        for node in nodes
        if node.operator == "Transpose"
        and node.inputs[0] in pictures
        and node.outputs[0] in casts
        and readers[node.outputs[0]] == 1
    }


def names_needed(fields: Sequence[Field]) -> Counter[str]:
    """How often each tensor is read: by nodes, by graphs within nodes, and as an output of the graph."""
    needed: Counter[str] = Counter()
    for each in fields:
        if each.number == GRAPH_NODE:
            needed.update(part.text for part in read_fields(each.message) if part.number == NODE_INPUT)
            for inner in inner_graphs(each.message):
                needed.update(names_needed(list(read_fields(inner))))
        elif each.number == GRAPH_OUTPUT:
            needed.update(part.text for part in read_fields(each.message) if part.number == VALUE_NAME)
    return needed


def cast_nodes(cast: Node, source: str, target: str, pictures: set[str]) -> list[bytes | memoryview]:
    """The cast from `source` to `target`, through a float where bytes are on one side and no float on the other."""
    if cast.cast_to == UINT8 or (source in pictures and cast.cast_to not in (FLOAT, FLOAT16)):
        return [to_float(source, target + ADDED), cast.between([target + ADDED], [target])]
    return [cast.between([source], [target])]


def to_float(source: str, target: str) -> bytes:
    """A new node, as a field of its graph."""
    attribute = bytes_field(
        NODE_ATTRIBUTE,
        bytes_field(ATTRIBUTE_NAME, b"to"),
        number_field(ATTRIBUTE_NUMBER, FLOAT),
        number_field(ATTRIBUTE_TYPE, TYPE_OF_A_NUMBER),
    )
    names = bytes_field(NODE_INPUT, source.encode()), bytes_field(NODE_OUTPUT, target.encode())
    return bytes_field(GRAPH_NODE, *names, bytes_field(NODE_OPERATOR, b"Cast"), attribute)
