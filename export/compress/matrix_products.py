"""The matrix products with weights of a graph: in one form, and weighed against all weights that there are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

MATRIX = 2
"""Axes of the weights that can be cut into blocks."""


def split_gemms(graph: Any) -> None:
    """Gemm with constant weights → MatMul and Add, in place: blocks are known for MatMul alone."""
    constants = {each.name: each for each in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type == "Gemm" and node.input[1] in constants and is_plain(node):
            nodes += as_product(graph, node, numpy_helper.to_array(constants[node.input[1]]))
        else:
            nodes.append(node)
    graph.ClearField("node")
    graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input} | {each.name for each in graph.output}
    kept = [each for each in graph.initializer if each.name in read]
    graph.ClearField("initializer")
    graph.initializer.extend(kept)


def is_plain(node: Any) -> bool:
    """Does it scale nothing, and take its input as it is?"""
    values = {each.name: each.f if each.name in ("alpha", "beta") else each.i for each in node.attribute}
    return values.get("alpha", 1.0) == values.get("beta", 1.0) == 1.0 and not values.get("transA", 0)


def as_product(graph: Any, node: Any, weights: Any) -> list[Any]:
    """x [rows, in] · weights [in, out] (+ bias)."""
    is_turned = any(each.name == "transB" and each.i for each in node.attribute)
    own = f"{node.output[0]}_weights"
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(weights.T if is_turned else weights), own))
    if len(node.input) < 3 or not node.input[2]:
        return [helper.make_node("MatMul", [node.input[0], own], list(node.output), node.name)]
    product = f"{node.output[0]}_before_bias"
    return [
        helper.make_node("MatMul", [node.input[0], own], [product], node.name),
        helper.make_node("Add", [product, node.input[2]], list(node.output), f"{node.name}_bias"),
    ]


def product_share(graph: Any) -> float:
    """Of all float weights, the share that stands in matrix products."""
    sizes = {
        each.name: math.prod(each.dims)
        for each in graph.initializer
        if each.data_type == TensorProto.FLOAT and len(each.dims) >= 1
    }
    matrices = {each.name for each in graph.initializer if len(each.dims) == MATRIX}
    in_products = {node.input[1] for node in graph.node if node.op_type == "MatMul"} & matrices & sizes.keys()
    total = max(1, sum(sizes.values()))
    return float(sum(sizes[name] for name in in_products) / total)
