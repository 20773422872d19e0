from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from serving.engines.onnx_operators import Operators, read_operators
from tasks.errors import InvalidPackage


def save(path: Path, nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto] | None = None) -> Path:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])
    graph = helper.make_graph(nodes, "made", [value], [value], weights or [])
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=10), path)
    return path


def names(found: Operators) -> list[str]:
    return [str(node) for node in found.nodes]


def test_operators_are_named_with_their_domain(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("MatMulNBits", ["y", "w"], ["z"], domain="com.microsoft"),
        helper.make_node("Add", ["z", "z"], ["x2"], domain="ai.onnx"),
        helper.make_node("Scaler", ["x2"], ["x3"], domain="ai.onnx.ml"),
    ]
    found = read_operators(save(tmp_path / "m.onnx", nodes))
    assert names(found) == ["Relu", "com.microsoft.MatMulNBits", "Add", "ai.onnx.ml.Scaler"]
    assert found.nodes[1].inputs == ("y", "w")


def test_what_lies_within_branches_and_functions_counts(tmp_path: Path) -> None:
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n"])
    branch = helper.make_graph(
        [helper.make_node("BiasGelu", ["x", "x"], ["out"], domain="com.microsoft")], "branch", [], [output]
    )
    nodes = [helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)]
    path = save(tmp_path / "m.onnx", nodes)
    model = onnx.load(path)
    body = [helper.make_node("Swish", ["a"], ["b"])]
    model.functions.append(helper.make_function("made", "f", ["a"], ["b"], body, [helper.make_opsetid("", 21)]))
    onnx.save(model, path)
    assert set(names(read_operators(path))) == {"If", "com.microsoft.BiasGelu", "Swish"}


@given(
    types=st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=8),
        st.sampled_from(["float32", "uint8", "int8", "int64", "float16"]),
        max_size=5,
    ),
    chain=st.lists(st.sampled_from(["Relu", "Neg", "Identity"]), max_size=6),
)
def test_what_the_library_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, types: dict[str, str], chain: list[str]
) -> None:
    weights = [numpy_helper.from_array(np.zeros(300, dtype), name) for name, dtype in types.items()]
    nodes = [helper.make_node(name, [f"t{i}"], [f"t{i + 1}"]) for i, name in enumerate(chain)]
    found = read_operators(save(tmp_path_factory.mktemp("onnx") / "m.onnx", nodes, weights))
    assert names(found) == chain
    assert found.weight_types == {
        name: helper.np_dtype_to_tensor_dtype(np.dtype(dtype)) for name, dtype in types.items()
    }


@given(data=st.binary(max_size=64))
def test_other_bytes_raise_nothing_else(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("onnx") / "m.onnx"
    path.write_bytes(data)
    with suppress(InvalidPackage):
        read_operators(path)


def test_a_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", [helper.make_node("Relu", ["x"], ["y"])])
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InvalidPackage, match="ends within a field"):
        read_operators(path)
