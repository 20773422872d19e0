from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from registry.package import ModelPackage
from serving.engines.byte_casts import move_casts
from serving.engines.obstacles import build_obstacle
from serving.engines.onnx_operators import UINT8, read_operators
from tasks.errors import InvalidPackage

IMAGE = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), np.uint8)


def turned(output: str = "planes") -> onnx.NodeProto:
    return helper.make_node("Transpose", ["image"], [output], "turn", perm=[0, 3, 1, 2])


def cast(source: str, target: str, to: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], f"cast_{target}", to=to)


def save(path: Path, nodes: list[onnx.NodeProto], outputs: dict[str, int]) -> Path:
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 4, 5, 3])
    sizes = {name: ["batch", 4, 5] if name in ("best", "mask") else ["batch", 3, 4, 5] for name in outputs}
    results = [helper.make_tensor_value_info(name, kind, sizes[name]) for name, kind in outputs.items()]
    planes = helper.make_tensor_value_info("planes", TensorProto.UINT8, ["batch", 3, 4, 5])
    declared = [] if "planes" in outputs else [planes]
    graph = helper.make_graph(nodes, "made", [image], results, value_info=declared)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, path)
    return path


def answers(path: Path) -> list[np.ndarray]:
    return ort.InferenceSession(path).run(None, {"image": IMAGE})


def casts_of_bytes(path: Path) -> set[tuple[str, int, int]]:
    """(what reads or makes bytes, from which type, to which), checked by ONNX's own inference of types."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True)
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    kinds = {(node.op_type, types.get(node.input[0], 0), types.get(node.output[0], 0)) for node in model.graph.node}
    return {kind for kind in kinds if UINT8 in kind[1:]}


def assert_same(path: Path) -> None:
    before = answers(path)
    move_casts(path)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    for expected, actual in zip(before, answers(path), strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("to", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_a_picture_is_cast_before_its_axes_are_turned(tmp_path: Path, to: int) -> None:
    path = save(tmp_path / "m.onnx", [turned(), cast("planes", "y", to)], {"y": to})
    assert casts_of_bytes(path) == {("Transpose", UINT8, UINT8), ("Cast", UINT8, to)}
    assert_same(path)
    assert casts_of_bytes(path) == {("Cast", UINT8, to)}


def test_integers_become_bytes_through_a_float(tmp_path: Path) -> None:
    nodes = [
        turned(),
        cast("planes", "x", TensorProto.FLOAT),
        helper.make_node("ArgMax", ["x"], ["best"], axis=1, keepdims=0),
        cast("best", "mask", TensorProto.UINT8),
    ]
    path = save(tmp_path / "m.onnx", nodes, {"mask": TensorProto.UINT8, "best": TensorProto.INT64})
    assert_same(path)
    assert casts_of_bytes(path) == {("Cast", UINT8, TensorProto.FLOAT), ("Cast", TensorProto.FLOAT, UINT8)}


def test_bytes_become_other_numbers_through_a_float(tmp_path: Path) -> None:
    nodes = [turned(), cast("planes", "x", TensorProto.BFLOAT16), cast("x", "y", TensorProto.FLOAT)]
    path = save(tmp_path / "m.onnx", nodes, {"y": TensorProto.FLOAT})
    assert_same(path)
    assert casts_of_bytes(path) == {("Cast", UINT8, TensorProto.FLOAT)}


def test_who_asks_for_the_shape_of_a_picture_asks_a_float(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["image"], ["shape"], "ask"),
        turned(),
        cast("planes", "x", TensorProto.FLOAT),
        helper.make_node("Reshape", ["x", "shape"], ["y"]),
    ]
    path = save(tmp_path / "m.onnx", nodes, {"y": TensorProto.FLOAT})
    assert_same(path)
    assert casts_of_bytes(path) == {("Cast", UINT8, TensorProto.FLOAT)}
    assert build_obstacle(path) == ""


def test_what_others_need_too_is_left_alone_and_refused(tmp_path: Path) -> None:
    nodes = [turned(), cast("planes", "x", TensorProto.FLOAT), cast("planes", "z", TensorProto.FLOAT)]
    path = save(tmp_path / "m.onnx", nodes, {"x": TensorProto.FLOAT, "z": TensorProto.FLOAT})
    assert_same(path)
    assert "it does more with bytes than cast them, which is all that TensorRT can: Transpose" in build_obstacle(path)
    nodes = [turned(), cast("planes", "x", TensorProto.FLOAT)]
    path = save(tmp_path / "m.onnx", nodes, {"x": TensorProto.FLOAT, "planes": TensorProto.UINT8})
    assert_same(path)
    assert "Transpose" in build_obstacle(path)


@pytest.mark.parametrize("model", ["package", "segmenter", "detector"])
def test_packages_answer_as_before_and_are_worth_trying(
    model: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    package: ModelPackage = request.getfixturevalue(model)
    path = Path(shutil.copy(package.graph_path("fp32"), tmp_path / "model.onnx"))
    image = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), np.uint8)
    expected = ort.InferenceSession(path).run(None, {"image": image})
    move_casts(path)
    for before, after in zip(expected, ort.InferenceSession(path).run(None, {"image": image}), strict=True):
        np.testing.assert_array_equal(after, before)
    assert build_obstacle(path) == ""
    assert {node.name for node in read_operators(path).nodes if "image" in node.inputs} == {"Cast"}


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x3a\x05\x0a\x7f")
    with pytest.raises(InvalidPackage, match="is not an ONNX model"):
        move_casts(tmp_path / "m.onnx")
