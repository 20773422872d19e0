from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from serving.runtimes.compute_threads import ComputeThreads
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.task import TensorSpec

COUNTERS = TensorSpec(name="past", dtype="FP32", shape=(4, 2))


@pytest.fixture(params=["sleep", "spin"])
def runtime(tmp_path: Path, request: pytest.FixtureRequest) -> OnnxRuntime:
    """`present` = `past` [rows, 2] + `added` [rows, 1]; `picked` [n, 2] = rows `which` [n] of it."""
    nodes = [
        helper.make_node("Add", ["past", "added"], ["present"]),
        helper.make_node("Gather", ["present", "which"], ["picked"]),
    ]
    inputs = [
        helper.make_tensor_value_info("past", TensorProto.FLOAT, ["rows", 2]),
        helper.make_tensor_value_info("added", TensorProto.FLOAT, ["rows", 1]),
        helper.make_tensor_value_info("which", TensorProto.INT64, ["n"]),
    ]
    outputs = [
        helper.make_tensor_value_info("picked", TensorProto.FLOAT, ["n", 2]),
        helper.make_tensor_value_info("present", TensorProto.FLOAT, ["rows", 2]),
    ]
    graph = helper.make_graph(nodes, "counters", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, tmp_path / "counters.onnx")
    return OnnxRuntime(tmp_path / "counters.onnx", threads=ComputeThreads(2, request.param))


def added(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


def test_a_bound_state_is_read_and_written_where_it_lies(runtime: OnnxRuntime) -> None:
    counters = runtime.allocate(COUNTERS)
    binding = runtime.bind({"past": counters}, {"present": counters})
    for _ in range(3):
        returned = binding.run({"added": added(1, 2, 3, 4), "which": np.array([3])})
    assert list(returned) == ["picked"]
    np.testing.assert_array_equal(returned["picked"], [[12, 12]])
    np.testing.assert_array_equal(counters.to_numpy()[:, 0], [3, 6, 9, 12])


def test_rows_of_a_tensor_are_the_same_memory(runtime: OnnxRuntime) -> None:
    counters = runtime.allocate(COUNTERS)
    middle = counters.rows(0, 3).rows(1, 3)
    assert middle.spec.shape == (2, 2)
    runtime.bind({"past": middle}, {"present": middle}).run({"added": added(5, 7), "which": np.array([0])})
    np.testing.assert_array_equal(counters.to_numpy()[:, 1], [0, 5, 7, 0])
    np.testing.assert_array_equal(middle.to_numpy()[:, 1], [5, 7])


def test_what_was_returned_stays_when_the_binding_runs_again_in_another_shape(runtime: OnnxRuntime) -> None:
    counters = runtime.allocate(COUNTERS)
    binding = runtime.bind({"past": counters}, {"present": counters})
    first = binding.run({"added": added(1, 1, 1, 1), "which": np.array([0, 1])})["picked"]
    nothing = binding.run({"added": added(1, 1, 1, 1), "which": np.zeros(0, np.int64)})["picked"]
    np.testing.assert_array_equal(first, [[1, 1], [1, 1]])
    assert nothing.shape == (0, 2)


def test_rows_that_are_not_there_are_refused(runtime: OnnxRuntime) -> None:
    with pytest.raises(ValueError, match="rows 2 to 5 of 'past', which has 4"):
        runtime.allocate(COUNTERS).rows(2, 5)


def test_bfloat16_states_are_bound_word_by_word(tmp_path: Path) -> None:
    """Numpy has no such type: a decoder's cache is passed on by its address."""
    ends = [helper.make_tensor_value_info(name, TensorProto.BFLOAT16, [1, 3]) for name in ("source", "target")]
    graph = helper.make_graph([helper.make_node("Identity", ["source"], ["target"])], "copy", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), tmp_path / "c.onnx")
    runtime = OnnxRuntime(tmp_path / "c.onnx")
    (spec,) = runtime.inputs
    assert spec.dtype == "BF16"
    source, target = (runtime.allocate(msgspec.structs.replace(spec, shape=(2, 3))) for _ in range(2))
    source.to_numpy()[1] = [1, 2, 3]
    runtime.bind({"source": source.rows(1, 2)}, {"target": target.rows(0, 1)}).run({})
    np.testing.assert_array_equal(target.to_numpy(), [[1, 2, 3], [0, 0, 0]])
