"""Zeros among the weights of graphs, as they were written: how many, and whether they lie as sparse tensor cores want.

TensorRT takes sparse kernels for layers in which, of every four neighbouring weights along the input, at least two are
zero: along the channels of a convolution [out, in, height, width], along the rows of a product [in, out].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from tasks.task import Array

GROUP, MIN_ZEROS = 4, 2
WEIGHT_INPUTS = {"Conv": (1,), "Gemm": (1,), "MatMul": (1,), "LSTM": (1, 2)}
"""Operator → its inputs that are weights."""
PRUNED = 0.01
"""The share of zeros from which on there is something to tell: training alone leaves none."""


@dataclass(frozen=True)
class WeightZeros:
    """Counts of weights. `num_in_fours`: in layers that sparse kernels can compute."""

    num_weights: int = 0
    num_zeros: int = 0
    num_in_fours: int = 0

    def __add__(self, other: WeightZeros) -> WeightZeros:
        return WeightZeros(
            self.num_weights + other.num_weights,
            self.num_zeros + other.num_zeros,
            self.num_in_fours + other.num_in_fours,
        )

    def metrics(self) -> dict[str, float]:
        """Shares for the evidence; nothing of weights that nobody pruned."""
        if self.num_zeros <= PRUNED * self.num_weights:
            return {}
        return {
            "zero_weights": self.num_zeros / self.num_weights,
            "two_in_four_weights": self.num_in_fours / self.num_weights,
        }


def count_zeros(graphs: Iterable[Path]) -> WeightZeros:
    """Of all weights that graphs multiply by."""
    counted = WeightZeros()
    for path in graphs:
        for zeros, axis in multiplied_weights(onnx.load(path).graph):
            in_fours = zeros.size if has_two_in_four(zeros, axis) else 0
            counted += WeightZeros(zeros.size, int(zeros.sum()), in_fours)
    return counted


def has_two_in_four(zeros: Array, axis: int) -> bool:
    """`zeros` BOOL: are two of every four along the axis?"""
    if zeros.shape[axis] % GROUP:
        return False
    fours = np.moveaxis(zeros, axis, -1).reshape(-1, GROUP)
    return bool((fours.sum(axis=1) >= MIN_ZEROS).all())


def multiplied_weights(graph: Any) -> Iterator[tuple[Array, int]]:
    """Where each weight is zero, BOOL in its shape, and the axis that lies along the input. Bytes count as zero where
    they stand for it."""
    arrays = {each.name: each for each in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    seen: set[str] = set()
    for node in all_nodes(graph):
        for index in WEIGHT_INPUTS.get(node.op_type, ()):
            name = node.input[index]
            zeros = find_zeros(name, arrays, makers)
            if zeros is not None and name not in seen:
                seen.add(name)
                yield zeros, input_axis(node, zeros.ndim)


def all_nodes(graph: Any) -> Iterator[Any]:
    """Those of a graph and of the bodies of its loops."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from all_nodes(attribute.g)


def find_zeros(name: str, arrays: dict[str, Any], makers: dict[str, Any]) -> Array | None:
    """BOOL, in the shape of the weights; None for what is computed from something else."""
    if name in arrays:
        zeros: Array = numpy_helper.to_array(arrays[name]) == 0
        return zeros if zeros.ndim > 1 else None
    maker = makers.get(name)
    if maker is None or maker.op_type not in ("DequantizeLinear", "Cast"):
        return None
    # Weights in bytes are symmetric: their zero is the byte 0.
    return find_zeros(maker.input[0], arrays, makers)


def input_axis(node: Any, num_axes: int) -> int:
    """Of a weight: where its inputs are counted."""
    if node.op_type == "MatMul":
        return num_axes - 2
    if node.op_type == "Gemm":
        return next((attribute.i for attribute in node.attribute if attribute.name == "transB"), 0)
    return num_axes - 1 if node.op_type == "LSTM" else 1
