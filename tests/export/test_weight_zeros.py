"""Zeros of graphs: counted where graphs multiply, and told apart by how they lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from export.weight_zeros import WeightZeros, count_zeros, has_two_in_four
from tasks.task import Array

GOOD = np.tile(np.array([[1, 0, 0, 2]], np.float32), (6, 2))
"""[6, 8]: two zeros in every four along the second axis."""


def write(path: Path, op: str, weight: Array, through: str = "", **attributes: int) -> Path:
    """A graph of one operator."""
    weights = [numpy_helper.from_array(weight, "weight")]
    nodes = []
    if through == "DequantizeLinear":
        weights.append(numpy_helper.from_array(np.float32(0.1), "scale"))
        nodes.append(helper.make_node(through, ["weight", "scale"], ["floats"]))
    nodes.append(helper.make_node(op, ["x", "floats" if through else "weight"], ["y"], **attributes))
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy")
    save(helper.make_model(helper.make_graph(nodes, "one", [x], [y], weights)), path)
    return path


@pytest.mark.parametrize(
    ("op", "weight", "attributes"),
    [
        ("MatMul", GOOD.T, {}),
        ("Gemm", GOOD, {"transB": 1}),
        ("Gemm", GOOD.T, {}),
        ("Conv", GOOD[:, :, None, None] * np.ones((3, 3), np.float32), {}),
    ],
)
def test_two_of_four_along_the_input_are_told(
    op: str, weight: Array, attributes: dict[str, int], tmp_path: Path
) -> None:
    counted = count_zeros([write(tmp_path / "graph.onnx", op, weight, **attributes)])
    assert counted == WeightZeros(weight.size, weight.size // 2, weight.size)
    assert counted.metrics() == {"zero_weights": 0.5, "two_in_four_weights": 1.0}


def test_along_the_output_they_are_of_no_use(tmp_path: Path) -> None:
    counted = count_zeros([write(tmp_path / "graph.onnx", "MatMul", np.tile(GOOD, (2, 1))[:8])])
    assert (counted.num_zeros, counted.num_in_fours) == (32, 0)


def test_bytes_that_stand_for_zero_count(tmp_path: Path) -> None:
    path = write(tmp_path / "graph.onnx", "MatMul", GOOD.T.astype(np.int8), "DequantizeLinear")
    assert count_zeros([path, path]) == WeightZeros(96, 48, 96)


def test_of_weights_that_nobody_pruned_there_is_nothing_to_tell(tmp_path: Path) -> None:
    counted = count_zeros([write(tmp_path / "graph.onnx", "MatMul", np.ones((8, 8), np.float32))])
    assert counted.num_weights == 64
    assert counted.metrics() == {}
    assert count_zeros([]).metrics() == {}


def test_sizes_that_are_not_in_fours() -> None:
    assert not has_two_in_four(np.ones((3, 6), np.bool_), 1)
    assert has_two_in_four(np.ones((3, 8), np.bool_), 1)
