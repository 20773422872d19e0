"""Graphs in 16 bits: small, close, with the inputs and outputs that they had, and float32 where 16 bits do not do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper, parser

from export.compress.float_twin import write_twin
from export.compress.half_graph import HalfType, convert_to_half, to_half
from export.compress.half_precision import Bf16, Fp16
from export.compress.prepared_graph import name_nodes
from export.subject import Subject
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.errors import InvalidRecipe
from tasks.task import Array

IMAGES = {"image": np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)}
KINDS = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def graph(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("half") / "plain.onnx"
    subject.write_graph(path, 20)
    return path


def parsed(text: str, weights: Mapping[str, Array], opset: int = 20) -> Any:
    """A model from the text form of ONNX, in which `weights` are initializers."""
    model = parser.parse_model(f'<ir_version: 10, opset_import: ["" : {opset}]> {text}')
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
    name_nodes(model.graph)
    return model


def run(model: Any, half: HalfType, inputs: Mapping[str, Array], folder: Path) -> dict[str, Array]:
    """What a graph answers on this host, a bfloat16 one through its twin."""
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, folder / "half.onnx")
    if half == "bf16":
        write_twin(folder / "half.onnx", folder / "half.onnx")
    return OnnxRuntime(folder / "half.onnx").run(inputs)


@pytest.mark.parametrize("technique", [Fp16(), Bf16()])
def test_half_the_size_and_close(technique: Fp16 | Bf16, graph: Path, tmp_path: Path) -> None:
    target = tmp_path / "half.onnx"
    technique.compress_graph(graph, target, [])
    model = onnx.load(target)
    onnx.checker.check_model(model, full_check=True)
    kernels = [each for each in model.graph.initializer if len(each.dims) == 4]
    assert [each.data_type for each in kernels] == [KINDS[technique.half]] * 2
    plain = OnnxRuntime(graph)
    expected = plain.run(IMAGES)
    found = run(model, technique.half, IMAGES, tmp_path)
    for name, wanted in expected.items():
        assert found[name].dtype == np.float32
        assert 0 < np.abs(found[name] - wanted).max() < 0.02 * np.abs(wanted).max()
    assert [(each.name, each.type) for each in model.graph.input] == [
        (each.name, each.type) for each in onnx.load(graph).graph.input
    ]


def test_twin_rounds_what_bfloat16_would(tmp_path: Path) -> None:
    """A layer by hand: what enters it, its weights and its answer are bfloat16 numbers, and its sum is exact."""
    weights = RNG.normal(size=(8, 4)).astype(np.float32)
    model = parsed("g (float[n,8] x) => (float[n,4] y) { y = MatMul(x, w) }", {"w": weights})
    x = RNG.normal(size=(5, 8)).astype(np.float32)
    found = run(convert_to_half(model, "bf16"), "bf16", {"x": x}, tmp_path)["y"]
    rounded = [each.astype(ml_dtypes.bfloat16).astype(np.float32) for each in (x, weights)]
    expected = (rounded[0] @ rounded[1]).astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("half", ["fp16", "bf16"])
def test_what_follows_the_last_layer_stays_in_float(half: HalfType, tmp_path: Path) -> None:
    """Coordinates of 2,000 pixels: 16 bits would put them up to eight pixels apart."""
    places = np.array([2001, 2003, 2005, 2007], np.float32)
    text = "g (float[n,8] x) => (float[n,4] y) { h = MatMul(x, w) y = Add(h, places) }"
    model = parsed(text, {"w": np.zeros((8, 4), np.float32), "places": places})
    found = run(convert_to_half(model, half), half, {"x": np.ones((2, 8), np.float32)}, tmp_path)["y"]
    np.testing.assert_array_equal(found, [places, places])


@pytest.mark.parametrize("half", ["fp16", "bf16"])
def test_operators_without_such_a_form_stand_between_casts(half: HalfType, tmp_path: Path) -> None:
    """TopK and Resize in the middle of a graph, a weight that two forms are needed of, and indices."""
    text = """g (float[n,4,6,6] x) => (float[n,4,12,12] y, int64[n,4,12,12] order) {
        a = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w)
        b = Resize <mode = "linear"> (a, , scales)
        six = Constant <value = int64[1] {12}> ()
        c, order = TopK (b, six)
        d = Mul (c, shared)
        e = CumSum (d, axis)
        f = Mul (e, shared)
        y = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (f, w)
    }"""
    weights = {
        "w": RNG.normal(size=(4, 4, 3, 3)).astype(np.float32) / 6,
        "scales": np.array([1, 1, 2, 2], np.float32),
        "shared": np.array([0.3], np.float32),
        "axis": np.array(3, np.int64),
    }
    model = parsed(text, weights)
    onnx.save(model, tmp_path / "plain.onnx")
    x = {"x": RNG.normal(size=(2, 4, 6, 6)).astype(np.float32)}
    expected = OnnxRuntime(tmp_path / "plain.onnx").run(x)["y"]
    found = run(convert_to_half(model, half), half, x, tmp_path)["y"]
    assert 0 < np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


def test_bodies_read_float32_values_of_the_graph_around_them(tmp_path: Path) -> None:
    text = """g (float[n,8] x, bool flag) => (float[n,4] y) {
        h = MatMul(x, w)
        r = Relu(h)
        s = If (flag) <
            then_branch = t () => (float[n,4] a) { a = Identity(r) },
            else_branch = e () => (float[n,4] b) { b = Neg(r) }
        >
        y = MatMul(s, v)
    }"""
    weights = {name: RNG.normal(size=shape).astype(np.float32) for name, shape in (("w", (8, 4)), ("v", (4, 4)))}
    model = parsed(text, weights)
    onnx.save(model, tmp_path / "plain.onnx")
    inputs = {"x": RNG.normal(size=(2, 8)).astype(np.float32), "flag": np.array(False)}
    expected = OnnxRuntime(tmp_path / "plain.onnx").run(inputs)["y"]
    found = run(convert_to_half(model, "fp16"), "fp16", inputs, tmp_path)["y"]
    np.testing.assert_allclose(found, expected, atol=0.01 * np.abs(expected).max())


def test_graph_without_layers_is_refused() -> None:
    model = parsed("g (float[n,8] x) => (float[n,8] y) { y = Relu(x) }", {})
    with pytest.raises(InvalidRecipe, match="no layer with float32 weights"):
        convert_to_half(model, "fp16")


@pytest.mark.parametrize("half", ["fp16", "bf16"])
def test_masks_do_not_become_infinite_nor_small_numbers_zero(half: HalfType) -> None:
    values = np.array([np.finfo(np.float32).min, -np.inf, 1e-40, -1e-40, 0, 0.5], np.float32)
    found = to_half(values, half).astype(np.float32)
    assert np.isfinite(found[0])
    assert found[0] < -60_000
    assert found[1] == -np.inf
    assert (np.sign(found[2:]) == [1, -1, 0, 1]).all()
