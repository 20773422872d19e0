"""The int8 graph: smaller, in the pairing that x86 multiplies fastest, safe without VNNI, close to float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.compress.int8_static import Int8Static, quantize_int8
from export.subject import Subject
from serving.runtimes.onnx_runtime import OnnxRuntime

BATCHES = [
    {"image": np.random.default_rng(seed).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)} for seed in range(4)
]


@pytest.fixture
def graph(subject: Subject, tmp_path: Path) -> Path:
    subject.write_graph(tmp_path / "plain.onnx", 20)
    return tmp_path / "plain.onnx"


@pytest.mark.parametrize("calibration", ["minmax", "entropy", "percentile"])
def test_close_to_float_and_silent(calibration: str, graph: Path, capfd: pytest.CaptureFixture[str]) -> None:
    target = graph.with_name("int8.onnx")
    config = Int8Static(calibration=calibration)  # type: ignore[arg-type]
    quantize_int8(graph, target, BATCHES, config)
    assert target.stat().st_size < graph.stat().st_size
    plain, small = (OnnxRuntime(path).run(BATCHES[0])["embedding"] for path in (graph, target))
    assert np.abs(plain - small).max() < 0.2 * np.abs(plain).max()
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(("reduce_range", "largest"), [(True, 64), (False, 127)])
def test_weights_are_signed_per_channel_and_within_range(graph: Path, reduce_range: bool, largest: int) -> None:
    target = graph.with_name("int8.onnx")
    quantize_int8(graph, target, BATCHES, Int8Static(reduce_range=reduce_range))
    model = onnx.load(target)
    constants = {each.name: each for each in model.graph.initializer}
    kernels = [each for each in constants.values() if each.data_type == TensorProto.INT8 and len(each.dims) == 4]
    assert len(kernels) == 2
    for kernel in kernels:
        # One scale per output channel: each channel uses its whole range.
        assert np.abs(numpy_helper.to_array(kernel).astype(int)).max(axis=(1, 2, 3)).min() >= largest - 2
        assert np.abs(numpy_helper.to_array(kernel).astype(int)).max() <= largest
    zero_points = [constants[node.input[2]] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert {each.data_type for each in zero_points} == {TensorProto.UINT8}


def test_what_follows_the_last_weights_is_computed_in_float(graph: Path) -> None:
    """As the places that a detector adds to its boxes: in bytes, steps of the sum would be eight units wide."""
    model = onnx.load(graph)
    for node in model.graph.node:
        node.output[:] = ["raw" if name == "logits" else name for name in node.output]
    far_apart = np.array([-1000, -500, 0, 500, 1000], np.float32)
    model.graph.initializer.append(numpy_helper.from_array(far_apart, "far_apart"))
    model.graph.node.append(helper.make_node("Add", ["raw", "far_apart"], ["logits"], "add_far_apart"))
    onnx.save(model, graph)
    target = graph.with_name("int8.onnx")
    quantize_int8(graph, target, BATCHES, Int8Static())
    plain, small = (OnnxRuntime(path).run(BATCHES[0])["logits"] for path in (graph, target))
    assert np.abs(plain - small).max() < 1
    assert plain.max() > 900
