from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from PIL import Image

from registry.package import ModelPackage
from serving.runtimes.fake import FakeRuntime
from serving.runtimes.onnx_runtime import OnnxRuntime
from serving.self_test import replay_golden
from tasks.errors import InvalidPackage
from tasks.task import Array, Task, open_task


@pytest.fixture
def task(package: ModelPackage) -> Task:
    return open_task(package.task_spec)


def altered(package: ModelPackage, change: Callable[[dict[str, Array]], dict[str, Array]]) -> FakeRuntime:
    """The package's own graph with its answers changed."""
    runtime = OnnxRuntime(package.graph_path("fp32"))

    def compute(inputs: Mapping[str, Array]) -> dict[str, Array]:
        return change(runtime.run(inputs))

    return FakeRuntime(compute, runtime.inputs, runtime.outputs)


def test_the_graph_that_was_exported_passes(package: ModelPackage, task: Task) -> None:
    replay_golden(package, "fp32", task, OnnxRuntime(package.graph_path("fp32")))


def test_differences_within_the_variants_own_tolerance_pass(package: ModelPackage, task: Task) -> None:
    replay_golden(package, "fp32", task, altered(package, lambda o: o | {"logits": o["logits"] + 5e-5}))


@pytest.mark.parametrize("wrong", [np.float32(2e-4), np.float32(np.nan), np.float32(np.inf)])
def test_other_numbers_fail(package: ModelPackage, task: Task, wrong: np.float32) -> None:
    with pytest.raises(InvalidPackage, match=r"golden/0000.*'embedding'"):
        replay_golden(package, "fp32", task, altered(package, lambda o: o | {"embedding": o["embedding"] + wrong}))


def test_another_decision_fails(package: ModelPackage, task: Task) -> None:
    with pytest.raises(InvalidPackage, match=r"'logits'|decided"):
        replay_golden(package, "fp32", task, altered(package, lambda o: o | {"logits": -o["logits"]}))


def test_another_decoder_fails(package: ModelPackage, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replay starts from encoded bytes: a host that decodes differently does not pass."""
    dark = io.BytesIO()
    Image.new("RGB", (40, 40)).save(dark, "PNG")
    decode = type(task).sample_from_bytes
    monkeypatch.setattr(type(task), "sample_from_bytes", lambda self, payload: decode(self, dark.getvalue()))
    with pytest.raises(InvalidPackage, match="golden/0000"):
        replay_golden(package, "fp32", task, OnnxRuntime(package.graph_path("fp32")))
