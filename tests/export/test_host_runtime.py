"""Graphs for a GPU run on the host that exports them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.compress.half_graph import HalfType, convert_to_half
from export.compress.prepared_graph import name_nodes
from export.host_runtime import open_on_host

X = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
WEIGHTS = np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32)


@pytest.mark.parametrize("half", ["fp16", "bf16"])
def test_half_graph_answers_on_the_processor(half: HalfType, tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(WEIGHTS, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    name_nodes(model.graph)
    onnx.save(convert_to_half(model, half), tmp_path / "half.onnx")
    runtime = open_on_host(tmp_path / "half.onnx")
    assert [spec.dtype for spec in (*runtime.inputs, *runtime.outputs)] == ["FP32", "FP32"]
    assert 0 < np.abs(runtime.run({"x": X})["y"] - X @ WEIGHTS).max() < 0.1


def test_bfloat16_states_become_float32(tmp_path: Path) -> None:
    """As in the graphs that copy the state of a decoder: nothing but an input and an output."""
    ends = [helper.make_tensor_value_info(name, TensorProto.BFLOAT16, [2, 2]) for name in ("source", "target")]
    graph = helper.make_graph([helper.make_node("Identity", ["source"], ["target"])], "copy", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, tmp_path / "copy.onnx")
    runtime = open_on_host(tmp_path / "copy.onnx")
    values = np.array([[1, 2], [3, 4]], np.float32)
    np.testing.assert_array_equal(runtime.run({"source": values})["target"], values)
