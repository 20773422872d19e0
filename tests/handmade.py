"""Small model packages built by hand: what most tests and benchmarks of the server run on, so that none must train."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from monitoring.profile import build_profile, encode_profile
from registry.manifest import Evidence, GateResult, GoldenOutputs, Graph, Lineage, Manifest, Requirements, Variant
from registry.package import ModelPackage, seal_package
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.classification import ClassificationSpec
from tasks.image import ImageSpec
from tasks.task import Task, TaskSpec, open_task

LABELS = ("dark", "red", "green", "blue", "light")


@dataclass(frozen=True)
class Handmade:
    """Knobs of a hand-built package. `shift` is added to the logits of the last class, to tell versions apart."""

    name: str = "colours"
    size: int = 32
    max_batch: int = 8
    shift: float = 0.0
    num_golden: int = 4
    num_profile: int = 64


def picture(seed: int, height: int = 60, width: int = 80) -> NDArray[np.uint8]:
    """A patch of one noisy colour, [height, width, 3]."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(-40, 40, (height, width, 3))
    return np.clip(rng.integers(0, 256, 3) + noise, 0, 255).astype(np.uint8)


def encoded(seed: int, format: str = "JPEG", height: int = 60, width: int = 80) -> bytes:
    """The same picture as a client would send it."""
    buffer = io.BytesIO()
    Image.fromarray(picture(seed, height, width)).save(buffer, format)
    return buffer.getvalue()


def colour_graph(size: int, shift: float) -> onnx.ModelProto:
    """`image` UINT8 [batch, size, size, 3] → mean colour → `embedding` [batch, 3] → `logits` [batch, 5]."""
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], np.float32)
    # −|x − corner|² up to a term that is the same for every class
    weight, bias = 2 * corners.T * 4, -(corners**2).sum(1) * 4
    bias[-1] += shift
    constants = {
        "scale": np.float32(1 / 255),
        "weight": weight.astype(np.float32),
        "bias": bias.astype(np.float32),
        "axes": np.array([1, 2], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["embedding"]),
        helper.make_node("Gemm", ["embedding", "weight", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", size, size, 3])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(LABELS)]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 3]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def build_package(folder: Path, knobs: Handmade = Handmade()) -> ModelPackage:
    """A complete package of the colour classifier, golden set, evidence and profile included."""
    spec = ClassificationSpec(labels=LABELS, image=ImageSpec(height=knobs.size, width=knobs.size))
    return package_around(folder, spec, colour_graph(knobs.size, knobs.shift), knobs)


def package_around(
    folder: Path, spec: TaskSpec, model: onnx.ModelProto, knobs: Handmade, picture_of: Callable[[int], bytes] = encoded
) -> ModelPackage:
    """A complete package of any graph that takes `image` UINT8 [batch, H, W, 3] and answers as the task expects.

    `picture_of` makes the encoded golden pictures and those of the profile, from a seed each."""
    (folder / "golden").mkdir(parents=True)
    (folder / "fp32").mkdir()
    onnx.save(model, folder / "fp32" / "model.onnx")
    task, runtime = open_task(spec), OnnxRuntime(folder / "fp32" / "model.onnx")

    golden = {f"golden/{i:04}.jpg": picture_of(i) for i in range(knobs.num_golden)}
    for name, payload in golden.items():
        (folder / name).write_bytes(payload)
    images = np.stack([task.preprocess(task.sample_from_bytes(p))["image"] for p in golden.values()])
    np.savez(folder / "fp32" / "golden.npz", **runtime.run({"image": images}))
    (folder / "fp32" / "profile.json").write_bytes(
        profile_of(task, runtime, [picture_of(1000 + i) for i in range(knobs.num_profile)])
    )

    variant = Variant(
        precision="fp32",
        graphs={"main": Graph(file="fp32/model.onnx", inputs=runtime.inputs, outputs=runtime.outputs)},
        requires=Requirements(),
        golden=GoldenOutputs(
            file="fp32/golden.npz", max_abs_difference={output.name: 1e-4 for output in runtime.outputs}
        ),
        evidence=plain_evidence((folder / "fp32" / "model.onnx").stat().st_size),
        profile="fp32/profile.json",
    )
    runtime.close()
    manifest = Manifest(
        name=knobs.name,
        task=msgspec.to_builtins(spec),
        image_sizes=((task.image_spec.height, task.image_spec.width),),
        batch_buckets=tuple(b for b in (1, 2, 4, 8, 16, 32) if b <= knobs.max_batch),
        variants={"fp32": variant},
        golden_inputs=tuple(golden),
        lineage=Lineage(created_at="2026-01-01T00:00:00Z", source="built by hand"),
    )
    return seal_package(folder, manifest)


def plain_evidence(num_bytes: int) -> Evidence:
    """Evidence of a variant that lost nothing."""
    return Evidence(
        metric="accuracy",
        num_examples=1000,
        metrics={"accuracy": 0.95, "trained_accuracy": 0.95},
        per_class=(),
        latency_ms={"1": 0.1},
        num_bytes=num_bytes,
        gates=(GateResult(name="decision_agreement", value=1.0, limit=0.99, passed=True),),
    )


def profile_of(task: Task, runtime: OnnxRuntime, pictures: list[bytes]) -> bytes:
    """The reference profile over encoded pictures, by the same path as production."""
    observations = []
    for payload in pictures:
        sample = task.sample_from_bytes(payload)
        tensors = task.preprocess(sample)
        batched = runtime.run({"image": tensors["image"][None]})
        outputs = {name: value[0] for name, value in batched.items()}
        prediction = task.decode_output(outputs, sample, task.parse_params({}))
        observations.append(task.signals(sample, tensors, outputs, prediction))
    return encode_profile(build_profile(task.signal_specs(), observations))
