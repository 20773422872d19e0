"""What engines do not need goes; what they compute stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.compress.strip_graph import strip_graph
from serving.runtimes.onnx_runtime import OnnxRuntime
from tests.handmade_coding import pruned_graph


def branch(name: str, value: float) -> onnx.GraphProto:
    constant = helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.float32([value])))
    constant.metadata_props.add(key="stack_trace", value="line 3")
    graph = helper.make_graph([constant], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])])
    graph.doc_string = "a branch"
    return graph


def model_with_branches() -> onnx.ModelProto:
    node = helper.make_node("If", ["flag"], ["y"], then_branch=branch("yes", 1), else_branch=branch("no", 2), name="If")
    graph = helper.make_graph(
        [node],
        "branches",
        [helper.make_tensor_value_info("flag", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    model.metadata_props.add(key="made", value="today")
    model.graph.value_info.append(helper.make_tensor_value_info("inner", TensorProto.FLOAT, [1]))
    return model


def test_no_note_is_left_anywhere() -> None:
    for model in (model_with_branches(), pruned_graph()):
        strip_graph(model)
        text = str(model)
        assert not any(word in text for word in ("metadata_props", "doc_string", "value_info", "stack_trace"))
        onnx.checker.check_model(model, full_check=True)


def test_branches_and_names_stay(tmp_path: Path) -> None:
    model = model_with_branches()
    strip_graph(model)
    assert model.graph.node[0].name == "If"
    onnx.save(model, tmp_path / "model.onnx")
    runtime = OnnxRuntime(tmp_path / "model.onnx")
    assert runtime.run({"flag": np.array(False)})["y"].tolist() == [2]
    runtime.close()
