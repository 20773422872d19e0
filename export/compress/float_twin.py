"""The float32 twin of a bfloat16 graph: the same nodes and weights, in an arithmetic that a processor has.

ONNX Runtime computes nothing in bfloat16 on a processor. In the twin every node computes in float32, and whatever the
graph would keep in bfloat16 is rounded to it there and then. That is what a GPU does, up to one thing: products are
summed in float32 on both, but in another order, so that now and then a number is rounded to its other neighbour. What
the twin proves is the accuracy of the graph; that a GPU answers alike is proved there, by the replay of the golden set.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.compress.half_operators import MOVING
from export.graphs.graph_builder import save_graph

EXACT = "_exact"
"""What the name of a number ends in before it is rounded."""


def write_twin(source: Path, target: Path) -> None:
    """Writes the twin of the graph `source`."""
    model = onnx.load(source)
    versions = {each.domain: each.version for each in model.opset_import}
    twin_graph(model.graph, versions[""], frozenset())
    save_graph(model, target)


def twin_graph(graph: Any, opset: int, outside: AbstractSet[str]) -> None:
    """Changes a graph, or the body of a loop, in place. `outside`: bfloat16 values that a body may read."""
    halves = {*outside}
    for weights in graph.initializer:
        if weights.data_type == TensorProto.BFLOAT16:
            halves.add(weights.name)
            weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights).astype(np.float32), weights.name))
    for each in graph.input:
        if each.type.tensor_type.elem_type == TensorProto.BFLOAT16:
            halves.add(each.name)
    nodes = []
    for node in graph.node:
        outputs = half_outputs(node, halves, opset)
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                twin_graph(attribute.g, opset, halves)
        halves.update(outputs)
        nodes += [node] if node.op_type in MOVING - {"Cast"} or not outputs else rounded(node, outputs)
    graph.ClearField("node")
    graph.node.extend(nodes)
    for each in (*graph.input, *graph.output, *graph.value_info):
        if each.type.tensor_type.elem_type == TensorProto.BFLOAT16:
            each.type.tensor_type.elem_type = TensorProto.FLOAT


def half_outputs(node: Any, halves: AbstractSet[str], opset: int) -> list[str]:
    """Names of the results that are bfloat16."""
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to":
            return list(node.output) if attribute.i == TensorProto.BFLOAT16 else []
        if node.op_type == "Scan" and attribute.name == "body":
            kinds = [each.type.tensor_type.elem_type for each in attribute.g.output]
            return [name for name, kind in zip(node.output, kinds, strict=True) if kind == TensorProto.BFLOAT16]
    if halves.isdisjoint(node.input):
        return []
    if not onnx.defs.has(node.op_type, opset, node.domain):
        # ONNX Runtime's own: those that decoders are made of give nothing but numbers of the type they take.
        return [name for name in node.output if name]
    schema = onnx.defs.get_schema(node.op_type, opset, node.domain)
    kinds_of = [formal.type_str for formal in schema.inputs]
    bound = {kinds_of[min(i, len(kinds_of) - 1)] for i, name in enumerate(node.input) if name in halves}
    formals = [schema.outputs[min(index, len(schema.outputs) - 1)].type_str for index in range(len(node.output))]
    return [name for name, formal in zip(node.output, formals, strict=True) if name and formal in bound]


def rounded(node: Any, outputs: Collection[str]) -> list[Any]:
    """The node in float32, and the casts that round what it gives."""
    exact = {name: name + EXACT for name in outputs}
    if node.op_type == "Cast":
        casts = [(node.input[0], name) for name in outputs]
    else:
        for index, name in enumerate(node.output):
            node.output[index] = exact.get(name, name)
        casts = [(exact[name], name) for name in outputs]
    pairs = [
        helper.make_node("Cast", ends, [end], f"Cast_{end}_{kind}", to=kind)
        for source, name in casts
        for ends, end, kind in (
            ([source], f"{name}_rounded", TensorProto.BFLOAT16),
            ([f"{name}_rounded"], name, TensorProto.FLOAT),
        )
    ]
    return pairs if node.op_type == "Cast" else [node, *pairs]
