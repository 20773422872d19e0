"""Blocks of few bits in models that answer at once: transformers take them, networks of convolutions do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper, parser

from export.compress.block_weights import Int4Weights, Int8Dynamic
from export.compress.matrix_products import product_share, split_gemms
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.errors import InvalidRecipe

RNG = np.random.default_rng(0)
X = {"x": RNG.normal(size=(6, 5, 64)).astype(np.float32)}
MIXED = """g (float[n,5,64] x) => (float[n,10] y) {
    a = MatMul(x, up)
    b = Relu(a)
    c = Gather <axis = 1> (b, first)
    d = Gemm <transB = 1> (c, head, bias)
    y = Gemm(d, last)
}"""
SHAPES = {"up": (64, 96), "head": (32, 96), "bias": (32,), "last": (32, 10)}


def model_of(text: str, **shapes: tuple[int, ...]) -> Any:
    model = parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]> {text}')
    weights = {name: RNG.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    constants = {**weights, "first": np.array(0)}
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    return model


def test_products_in_the_form_of_gemm_are_the_same_products(tmp_path: Path) -> None:
    model = model_of(MIXED, **SHAPES)
    onnx.save(model, tmp_path / "plain.onnx")
    split_gemms(model.graph)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, tmp_path / "split.onnx")
    plain, split = (OnnxRuntime(tmp_path / f"{name}.onnx").run(X)["y"] for name in ("plain", "split"))
    np.testing.assert_allclose(split, plain, rtol=1e-4, atol=1e-3)
    assert not [node for node in model.graph.node if node.op_type == "Gemm"]
    assert "head" not in {each.name for each in model.graph.initializer}
    assert product_share(model.graph) > 0.99


@pytest.mark.parametrize(("technique", "closeness", "size"), [(Int8Dynamic(), 0.03, 0.4), (Int4Weights(), 0.3, 0.3)])
def test_graph_is_small_and_close(
    technique: Int8Dynamic | Int4Weights, closeness: float, size: float, tmp_path: Path
) -> None:
    onnx.save(model_of(MIXED, **SHAPES), tmp_path / "plain.onnx")
    technique.compress_graph(tmp_path / "plain.onnx", tmp_path / "small.onnx", [])
    plain, small = (OnnxRuntime(tmp_path / f"{name}.onnx").run(X)["y"] for name in ("plain", "small"))
    assert 0 < np.abs(small - plain).mean() < closeness * plain.std()
    floats = [e for e in onnx.load(tmp_path / "small.onnx").graph.initializer if e.data_type == TensorProto.FLOAT]
    assert sum(int(np.prod(each.dims)) for each in floats) < 0.1 * sum(int(np.prod(each)) for each in SHAPES.values())
    assert (tmp_path / "small.onnx").stat().st_size < size * (tmp_path / "plain.onnx").stat().st_size + 2000


def test_network_of_convolutions_is_refused_with_its_share(tmp_path: Path) -> None:
    text = """g (float[n,8,6,6] x) => (float[n,4] y) {
        a = Conv (x, w)
        b = GlobalAveragePool(a)
        c = Flatten(b)
        y = Gemm(c, head)
    }"""
    onnx.save(model_of(text, w=(8, 8, 3, 3), head=(8, 4)), tmp_path / "plain.onnx")
    with pytest.raises(InvalidRecipe, match=r"5% are in such products.*int8_static"):
        Int8Dynamic().compress_graph(tmp_path / "plain.onnx", tmp_path / "small.onnx", [])
