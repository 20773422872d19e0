"""What every runtime is held to, and how each is opened: one graph, its specification in numpy, one entry per runtime.

An entry opens the graph for as many threads at once as it can serve, two where that may be chosen, or skips and says
what is missing on this machine.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.to_triton import PYTHON_MODEL
from export.triton.model_config import add_version, build_config, print_config
from export.triton.version_folder import incoming_version, replace_text
from registry.manifest import Graph, Requirements
from serving.engines.batch_profiles import batch_profiles
from serving.engines.build_plan import build_plan
from serving.engines.detect_host import detect_engine_host
from serving.engines.engine_key import BuildSettings
from serving.runtimes.fake import FakeRuntime
from serving.runtimes.onnx_runtime import OnnxRuntime
from serving.runtimes.runtime import Runtime
from serving.runtimes.tensorrt_engine import TensorRtEngine
from serving.runtimes.triton_client import TritonClient
from serving.runtimes.triton_memory import MessageInputs
from serving.runtimes.triton_origin import Origin
from serving.runtimes.triton_remote import TritonRemote
from tasks.errors import NotReady
from tasks.task import Array, TensorSpec
from tests.conftest import find_tool
from tests.triton_process import PROGRAM, triton_process

HEIGHT, WIDTH = 4, 6
BATCH_BUCKETS = (1, 3, 8)
NUM_SLOTS = 2
TRITON_NAME = "contract"
INPUTS = (
    TensorSpec(name="image", dtype="UINT8", shape=(-1, HEIGHT, WIDTH, 3)),
    TensorSpec(name="offset", dtype="FP32", shape=(-1, 1)),
)
OUTPUTS = (
    TensorSpec(name="colour", dtype="FP32", shape=(-1, 3)),
    TensorSpec(name="brightness", dtype="FP32", shape=(-1, 1)),
)


@dataclass(frozen=True)
class ContractGraph:
    """`image` UINT8 [batch, 4, 6, 3], `offset` FP32 [batch, 1] → the mean of each channel plus `offset`, `colour` FP32
    [batch, 3], and the mean of these, `brightness` FP32 [batch, 1]."""

    folder: Path
    graph: Graph

    @property
    def path(self) -> Path:
        return self.folder / self.graph.file


def make_inputs(seed: int, num_rows: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {
        "image": rng.integers(0, 256, (num_rows, HEIGHT, WIDTH, 3), np.uint8),
        "offset": rng.normal(0, 10, (num_rows, 1)).astype(np.float32),
    }


def compute(inputs: Mapping[str, Array]) -> dict[str, Array]:
    """What the graph says, in numpy."""
    colour = (inputs["image"].astype(np.float32).mean((1, 2)) + inputs["offset"]).astype(np.float32)
    return {"colour": colour, "brightness": colour.mean(1, keepdims=True)}


def write_graph(folder: Path) -> ContractGraph:
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "picture_axes"], ["mean"], keepdims=0),
        helper.make_node("Add", ["mean", "offset"], ["colour"]),
        helper.make_node("ReduceMean", ["colour", "colour_axis"], ["brightness"], keepdims=1),
    ]
    axes = {"picture_axes": [1, 2], "colour_axis": [1]}
    weights = [numpy_helper.from_array(np.array(values, np.int64), name) for name, values in axes.items()]
    types = {"UINT8": TensorProto.UINT8, "FP32": TensorProto.FLOAT}
    inputs, outputs = (
        [helper.make_tensor_value_info(spec.name, types[spec.dtype], ["batch", *spec.shape[1:]]) for spec in specs]
        for specs in (INPUTS, OUTPUTS)
    )
    model = helper.make_graph(nodes, "contract", inputs, outputs, weights)
    onnx.save(
        helper.make_model(model, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), folder / "model.onnx"
    )
    return ContractGraph(folder, Graph(file="model.onnx", inputs=INPUTS, outputs=OUTPUTS))


def open_fake(graph: ContractGraph) -> Runtime:
    return FakeRuntime(compute, INPUTS, OUTPUTS)


def open_onnx_runtime(graph: ContractGraph) -> Runtime:
    return OnnxRuntime(graph.path, slots=NUM_SLOTS)


def open_onnx_runtime_on_cuda(graph: ContractGraph) -> Runtime:
    try:
        return OnnxRuntime(graph.path, "cuda", slots=NUM_SLOTS)
    except NotReady as error:
        pytest.skip(str(error))


def open_tensorrt(graph: ContractGraph) -> Runtime:
    try:
        detect_engine_host()
    except NotReady as error:
        pytest.skip(f"no TensorRT engine can be built here: {error}")
    profiles = batch_profiles(graph.graph, BATCH_BUCKETS, ((HEIGHT, WIDTH),))
    plan = build_plan(graph.path, profiles, BuildSettings(), timings=b"").plan
    return TensorRtEngine(plan, graph.graph, profiles, slots=NUM_SLOTS)


class TritonOfOnesOwn(TritonRemote):
    """On a Triton that ends with it."""

    def __init__(self, graph: ContractGraph) -> None:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            process = stack.enter_context(triton_process(find_tool(str(PROGRAM)), folder))
            origin = Origin(digest="0" * 64, variant="fp32")
            write_repository(graph, folder / "repository", origin)
            process.start(folder / "repository")
            client = TritonClient(process.url, NUM_SLOTS)
            super().__init__(client, MessageInputs(), TRITON_NAME, origin, NUM_SLOTS)
            self._stack = stack.pop_all()

    def close(self) -> None:
        super().close()
        self._stack.close()


def write_repository(graph: ContractGraph, repository: Path, origin: Origin) -> None:
    """The graph for Triton's Python backend, as an export writes it, but for what only a package has."""
    config = build_config(TRITON_NAME, graph.graph, BATCH_BUCKETS, Requirements(), "python")
    add_version(config, "1", origin, warm_up=())
    with incoming_version(repository / TRITON_NAME / "1") as folder:
        shutil.copyfile(graph.path, folder / "model.onnx")
        shutil.copyfile(PYTHON_MODEL, folder / "model.py")
    replace_text(repository / TRITON_NAME / "config.pbtxt", print_config(config))


RUNTIMES: Mapping[str, Callable[[ContractGraph], Runtime]] = {
    "fake": open_fake,
    "onnxruntime": open_onnx_runtime,
    "onnxruntime-cuda": open_onnx_runtime_on_cuda,
    "tensorrt": open_tensorrt,
    "triton": TritonOfOnesOwn,
}
CASES = [pytest.param(name, marks=pytest.mark.e2e if name == "triton" else ()) for name in RUNTIMES]
"""One test case each; what starts a server is for the tests that do."""
