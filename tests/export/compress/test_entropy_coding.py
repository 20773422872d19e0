"""A coded ONNX file decodes to the same weights, runs the same, and takes as little as was said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.compress.entropy_coding import MIN_BYTES, MIN_INTEGER_BYTES, StoredGraph, store_coded
from registry.coded_graph import WEIGHTS_FILE, read_coded_graph
from serving.runtimes.onnx_runtime import OnnxRuntime
from tests.handmade_coding import SIZE, pruned_graph, pruned_weights


def store(model: onnx.ModelProto, folder: Path) -> StoredGraph:
    onnx.save(model, folder / "plain.onnx")
    return store_coded(folder / "plain.onnx", folder / "model.coded")


def decode(stored: StoredGraph, folder: Path) -> onnx.ModelProto:
    """With its weights inside again."""
    decoded = read_coded_graph(stored.path, stored.decodes_to)
    (folder / "decoded.onnx").write_bytes(decoded.graph)
    decoded.weights.tofile(folder / WEIGHTS_FILE)
    return onnx.load(folder / "decoded.onnx")


def raw(model: onnx.ModelProto) -> dict[str, tuple[int, tuple[int, ...], bytes]]:
    """Type, shape and bytes of every initializer."""
    return {
        each.name: (
            each.data_type,
            tuple(each.dims),
            each.raw_data or numpy_helper.from_array(numpy_helper.to_array(each)).raw_data,
        )
        for each in model.graph.initializer
    }


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredGraph:
    return store(pruned_graph(), tmp_path_factory.mktemp("stored"))


def test_weights_and_answers_are_the_same_to_the_bit(stored: StoredGraph, tmp_path: Path) -> None:
    assert raw(decode(stored, tmp_path)) == raw(pruned_graph())
    pictures = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)
    onnx.save(pruned_graph(), tmp_path / "plain.onnx")
    plain = OnnxRuntime(tmp_path / "plain.onnx")
    coded = OnnxRuntime(read_coded_graph(stored.path, stored.decodes_to))
    assert coded.inputs == plain.inputs
    for name, expected in plain.run({"image": pictures}).items():
        assert np.array_equal(coded.run({"image": pictures})[name], expected)
    plain.close()
    coded.close()


def test_every_stage_is_reported(stored: StoredGraph) -> None:
    by_names = {each.names: each for each in stored.weights}
    assert set(by_names) == {("dense",), ("dense_bias", "head", "long_bias")}
    dense = by_names[("dense",)]
    assert dense.coding == f"{np.count_nonzero(pruned_weights((768, 64), 0))} kept, 16 values"
    assert dense.stages.dense == 768 * 64 * 4
    for larger, smaller, times in (("dense", "pruned", 7), ("pruned", "clustered", 3), ("clustered", "coded", 1)):
        assert getattr(dense.stages, larger) > times * getattr(dense.stages, smaller)
    assert stored.stages.coded == stored.path.stat().st_size < stored.stages.dense / 15
    assert stored.stages.dense == stored.decodes_to.weights.num_bytes + stored.decodes_to.graph.num_bytes


def test_shapes_and_what_is_small_stay_in_the_graph(stored: StoredGraph) -> None:
    graph = onnx.load_from_string(read_coded_graph(stored.path, stored.decodes_to).graph).graph
    inside = {each.name for each in graph.initializer if each.data_location != TensorProto.EXTERNAL}
    assert inside == {"parts", "axis"}


def of_type(name: str, data_type: int, num_bytes: int) -> onnx.TensorProto:
    """Random bits: not a number among them, signs of zero, whatever."""
    bits = np.random.default_rng(data_type).integers(0, 256, num_bytes, np.uint8)
    width = max(1, round(helper.tensor_dtype_to_np_dtype(data_type).itemsize))
    per_byte = 2 if data_type in (TensorProto.INT4, TensorProto.UINT4) else 1
    return helper.make_tensor(name, data_type, [num_bytes * per_byte // width], bits.tobytes(), raw=True)


def test_weights_of_every_type_come_back(tmp_path: Path) -> None:
    names = "FLOAT DOUBLE FLOAT16 BFLOAT16 INT8 UINT8 INT16 UINT16 INT32 INT64 BOOL INT4 UINT4 FLOAT8E4M3FN COMPLEX64"
    types = {name: getattr(TensorProto, name) for name in names.split()}
    tensors = [of_type(name, data_type, MIN_INTEGER_BYTES) for name, data_type in types.items()]
    tensors.append(numpy_helper.from_array(np.array(["a", "b"], object), "text"))
    tensors.append(numpy_helper.from_array(np.float32(3), "scalar"))
    tensors.append(numpy_helper.from_array(np.zeros((0, 4), np.float16), "nothing"))
    typed = helper.make_tensor("typed", TensorProto.FLOAT, [200], np.arange(200, dtype=np.float32))
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [200])
    graph = helper.make_graph([helper.make_node("Neg", ["typed"], ["y"])], "all", [], [output], [*tensors, typed])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    stored = store(model, tmp_path)
    assert raw(decode(stored, tmp_path)) == raw(model)
    placed = {name for each in stored.weights for name in each.names}
    assert placed == {*types, "typed"}


def test_weights_beside_the_file_are_found(tmp_path: Path) -> None:
    onnx.save(
        pruned_graph(), tmp_path / "plain.onnx", save_as_external_data=True, location="beside.data", size_threshold=0
    )
    stored = store_coded(tmp_path / "plain.onnx", tmp_path / "model.coded")
    assert raw(decode(stored, tmp_path)) == raw(pruned_graph())


def test_a_graph_with_nothing_to_move(tmp_path: Path) -> None:
    model = pruned_graph()
    kept = [each for each in model.graph.initializer if len(each.raw_data) < MIN_BYTES]
    model.graph.initializer.clear()
    model.graph.initializer.extend(kept)
    del model.graph.node[:]
    model.graph.node.append(helper.make_node("Cast", ["parts"], ["logits"], to=TensorProto.FLOAT))
    del model.graph.output[1:]
    stored = store(model, tmp_path)
    assert stored.weights == ()
    runtime = OnnxRuntime(read_coded_graph(stored.path, stored.decodes_to))
    assert runtime.outputs[0].name == "logits"
    runtime.close()
