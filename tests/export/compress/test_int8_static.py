"""The int8 graph: smaller, in the pairing that x86 multiplies fastest, safe without VNNI, close to float32."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from export.compress import int8_static
from export.compress.int8_static import SENSITIVITY_FILE, VNNI, Int8Static, quantize_int8
from export.compress.steps import requirements_of
from export.subject import Subject
from serving.engines.obstacles import build_obstacle
from serving.runtimes.onnx_runtime import OnnxRuntime
from serving.variants import HostFacts, detect_host
from tasks.errors import InvalidRecipe
from tasks.task import Array

BATCHES = [
    {"image": np.random.default_rng(seed).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)} for seed in range(4)
]
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def exported(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("int8") / "plain.onnx"
    subject.write_graph(path, 20)
    return path


@pytest.fixture
def graph(exported: Path, tmp_path: Path) -> Path:
    target = tmp_path / "plain.onnx"
    target.write_bytes(exported.read_bytes())
    return target


def written(text: str, weights: dict[str, Array], path: Path) -> Path:
    model = parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]> {text}')
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
    onnx.save(model, path)
    return path


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


@pytest.mark.parametrize(("scales", "count"), [("channel", 16), ("tensor", 1)])
def test_scales_of_weights(graph: Path, scales: Literal["channel", "tensor"], count: int) -> None:
    target = graph.with_name("int8.onnx")
    quantize_int8(graph, target, BATCHES[:1], Int8Static(weight_scales=scales))
    model = onnx.load(target)
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    dequantizer = next(node for node in model.graph.node if node.output[0] == first.input[1])
    assert constants[dequantizer.input[1]].size == count


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


RESIDUAL = """g (uint8[n,8,8,4] image) => (float[n,4] y) {
    floats = Cast <to = 1> (image)
    shifted = Sub(floats, shift)
    scaled = Mul(shifted, scale)
    x = Transpose <perm = [0, 3, 1, 2]> (scaled)
    a = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w0, bias)
    b = Relu(a)
    p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (b)
    c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (p, w1, bias)
    d = Add(p, c)
    e = Relu(d)
    f = Conv <kernel_shape = [1, 1]> (e, w2, bias)
    h = GlobalAveragePool(f)
    k = Flatten(h)
    y = Gemm(k, w3)
}"""
RESIDUAL_WEIGHTS = {
    "shift": np.full((1,), 100, np.float32),
    "scale": np.full((1,), 0.02, np.float32),
    "bias": RNG.normal(size=4).astype(np.float32),
    **{f"w{i}": RNG.normal(size=(4, 4, size, size)).astype(np.float32) for i, size in enumerate((3, 3, 1))},
    "w3": RNG.normal(size=(4, 4)).astype(np.float32),
}
RESIDUAL_BATCHES = [{"image": np.random.default_rng(i).integers(0, 256, (16, 8, 8, 4), np.uint8)} for i in range(2)]


def test_between_first_and_last_layer_the_engine_computes_in_bytes_alone(tmp_path: Path) -> None:
    """As ONNX Runtime fuses it: bytes are made once, of the normalised picture, and floats once, for the last layer."""
    source = written(RESIDUAL, RESIDUAL_WEIGHTS, tmp_path / "plain.onnx")
    quantize_int8(source, tmp_path / "int8.onnx", RESIDUAL_BATCHES, Int8Static())
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(str(tmp_path / "int8.onnx"), options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "fused.onnx").graph.node
    count = Counter(node.op_type for node in nodes)
    assert (count["QLinearConv"], count["QLinearAdd"], count["Conv"], count["Relu"]) == (3, 1, 0, 0)
    assert (count["QuantizeLinear"], count["DequantizeLinear"], count["Gemm"]) == (1, 1, 1)
    assert count["QLinearMul"] == 0


def test_network_of_last_layers_alone_is_refused(tmp_path: Path) -> None:
    text = "g (float[n,4] x) => (float[n,4] y) { y = Gemm(x, w) }"
    source = written(text, {"w": RESIDUAL_WEIGHTS["w3"]}, tmp_path / "plain.onnx")
    with pytest.raises(InvalidRecipe, match="no others with weights"):
        quantize_int8(source, tmp_path / "int8.onnx", [{"x": np.ones((2, 4), np.float32)}], Int8Static())


def test_sensitive_layers_stay_in_float_and_the_findings_lie_beside_the_graph(tmp_path: Path) -> None:
    """The second convolution gets weights of which one is large: in bytes the others of its channel are zeros."""
    weights = {**RESIDUAL_WEIGHTS, "w1": RESIDUAL_WEIGHTS["w1"].copy()}
    weights["w1"][:, 0, 0, 0] = 300
    text = RESIDUAL.replace(
        "c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (p, w1, bias)",
        "q = Mul(p, mask) c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (q, w1, bias)",
    )
    # The large weight meets nothing but zeros: it ruins the scale, and adds nothing.
    mask = np.array([0, 1, 1, 1], np.float32).reshape(1, 4, 1, 1)
    source = written(text, {**weights, "mask": mask}, tmp_path / "plain.onnx")
    plain = OnnxRuntime(source).run(RESIDUAL_BATCHES[0])["y"]
    errors = {}
    for float_layers in ("last", "sensitive"):
        target = tmp_path / f"{float_layers}.onnx"
        config = Int8Static(float_layers=float_layers, min_sqnr_db=25, max_float_layers=2)  # type: ignore[arg-type]
        quantize_int8(source, target, RESIDUAL_BATCHES, config)
        errors[float_layers] = np.abs(OnnxRuntime(target).run(RESIDUAL_BATCHES[0])["y"] - plain).mean()
    assert errors["sensitive"] < 0.3 * errors["last"]
    found = msgspec.json.decode((tmp_path / SENSITIVITY_FILE).read_bytes())
    assert len(found["layers"]) == 3
    assert found["in_float"] == [found["layers"][0]["layer"]]
    assert found["sqnr_db_before"] < found["layers"][1]["sqnr_db"]
    assert found["sqnr_db_after"] >= 25 > found["sqnr_db_before"]
    second = [node for node in onnx.load(tmp_path / "sensitive.onnx").graph.node if node.op_type == "Conv"][1]
    assert second.name == found["in_float"][0]
    assert second.input[1] == "w1"


def test_weights_of_eight_bits_ask_for_vnni(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert requirements_of([Int8Static(reduce_range=False)]).cpu_features == (VNNI,)
    assert requirements_of([Int8Static()]).cpu_features == ()
    monkeypatch.setattr(int8_static, "detect_host", lambda: HostFacts(cpu_features={"avx2"}, providers={"cpu"}))
    with pytest.raises(InvalidRecipe, match=VNNI):
        Int8Static(reduce_range=False).compress_graph(graph, graph.with_name("int8.onnx"), BATCHES)


@pytest.mark.skipif(
    "avx2" not in detect_host().cpu_features or any("vnni" in each for each in detect_host().cpu_features),
    reason="sums of byte products saturate on processors with AVX2 and without VNNI alone",
)
def test_seven_bits_do_not_saturate_where_eight_do(tmp_path: Path) -> None:
    """Bright pictures and large weights: two products of bytes are up to 64,770, and 16 bits end at 32,767."""
    text = """g (float[n,16,8,8] x) => (float[n,16] y) {
        a = Conv <kernel_shape = [3, 3]> (x, w)
        b = Conv <kernel_shape = [3, 3]> (a, w)
        h = GlobalAveragePool(b)
        k = Flatten(h)
        y = Gemm(k, v)
    }"""
    weights = {"w": np.full((16, 16, 3, 3), 1 / 144, np.float32), "v": np.eye(16, dtype=np.float32)}
    source = written(text, weights, tmp_path / "plain.onnx")
    batch = {"x": np.random.default_rng(0).uniform(0.9, 1, (4, 16, 8, 8)).astype(np.float32)}
    plain = OnnxRuntime(source).run(batch)["y"]
    errors = []
    for reduce_range in (False, True):
        quantize_int8(source, tmp_path / "int8.onnx", [batch], Int8Static(reduce_range=reduce_range))
        errors.append(np.abs(OnnxRuntime(tmp_path / "int8.onnx").run(batch)["y"] - plain).max())
    full, reduced = errors
    assert full > 0.1
    assert reduced < 0.02


def test_signed_activations_have_zero_in_the_middle_as_tensorrt_asks(graph: Path) -> None:
    target = graph.with_name("int8.onnx")
    quantize_int8(graph, target, BATCHES, Int8Static(activations="signed"))
    model = onnx.load(target)
    constants = {each.name: each for each in model.graph.initializer}
    quantizers = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    zero_points = [constants[node.input[2]] for node in quantizers]
    assert TensorProto.UINT8 not in {each.data_type for each in zero_points}
    assert not any(numpy_helper.to_array(each).any() for each in zero_points)
    assert "unsigned" not in build_obstacle(target)
