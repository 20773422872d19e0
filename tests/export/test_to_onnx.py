"""The exported graph answers as the module does, at every batch size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from export.subject import Subject
from export.to_onnx import check_batches, write_onnx
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.classification import Classification
from tasks.errors import GateFailed
from tasks.image import ImageSpec
from tasks.task import Array
from tests.export_subjects import SPEC
from tests.handmade import LABELS

IMAGE = ImageSpec(height=32, width=32)


@pytest.fixture(scope="module")
def graph(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    subject.write_graph(path, 20)
    return path


def test_inputs_and_outputs_are_those_of_the_contract(graph: Path) -> None:
    runtime = OnnxRuntime(graph)
    assert [(s.name, s.dtype, s.shape) for s in runtime.inputs] == [("image", "UINT8", (-1, 32, 32, 3))]
    assert [(s.name, s.dtype, s.shape[0]) for s in runtime.outputs] == [
        ("logits", "FP32", -1),
        ("embedding", "FP32", -1),
    ]
    assert runtime.outputs[0].shape[1] == len(LABELS)
    assert onnx.load(graph).graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


@pytest.mark.parametrize("batch", [1, 3, 32])
def test_any_batch_answers_as_the_module(graph: Path, subject: Subject, batch: int) -> None:
    pictures = np.random.default_rng(batch).integers(0, 256, (batch, 32, 32, 3), dtype=np.uint8)
    answered, expected = OnnxRuntime(graph).run({"image": pictures}), subject.reference({"image": pictures})
    for name, value in expected.items():
        np.testing.assert_allclose(answered[name], value, atol=1e-4)


def test_graph_of_another_module_is_noticed(graph: Path) -> None:
    def other(tensors: Mapping[str, Array]) -> dict[str, Array]:
        pooled = tensors["image"].astype(np.float32).mean((1, 2))
        return {"logits": pooled @ np.ones((3, len(LABELS))), "embedding": pooled @ np.ones((3, 24))}

    with pytest.raises(GateFailed, match="batch size 1 in output 'logits'"):
        check_batches(other, Classification(SPEC), graph, (1, 3))


def test_module_that_fixes_its_batch_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    class Fixed(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image.float().mean((1, 2)) + torch.arange(6.0).reshape(2, 3)

    with pytest.raises(GateFailed, match="does not leave the batch free"):
        write_onnx(Fixed(), IMAGE, ["logits"], tmp_path / "fixed.onnx")
    assert capfd.readouterr().out == ""
