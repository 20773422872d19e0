"""Segmenters of transformers answer as transformers itself says they do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil

from export.import_facts import ImportFacts
from export.transformers_folder import TransformersModel, open_folder
from export.transformers_segmentation import adapt_segmenter
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.errors import BadInput
from tasks.segmentation import Segmentation
from tests.transformers_models import LABELS, MEAN, SIDE, STD, save_folder, segformer, upernet

FACTS = ImportFacts(name="hub-segmenter", task="segmentation")
PICTURES = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)


def opened_folder(folder: Path, build: Callable[[], Any]) -> TransformersModel:
    torch.manual_seed(0)
    return open_folder(save_folder(folder, build(), {"height": SIDE, "width": SIDE}), FACTS)


@pytest.fixture(scope="module", params=[segformer, upernet])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TransformersModel:
    return opened_folder(tmp_path_factory.mktemp("hub") / "model", request.param)


def test_mask_is_that_of_its_own_post_processing(opened: TransformersModel) -> None:
    pixels = torch.from_numpy(((PICTURES / 255 - MEAN) / STD).transpose(0, 3, 1, 2).astype(np.float32))
    with torch.inference_mode():
        answer = opened.module(pixel_values=pixels)
    wanted = SegformerImageProcessorPil().post_process_semantic_segmentation(answer, target_sizes=[(SIDE, SIDE)] * 3)
    found = adapt_segmenter(opened, FACTS).reference({"image": PICTURES})
    assert found["mask"].dtype == np.uint8
    assert (found["mask"] == np.stack(wanted)).mean() > 0.999
    assert len(np.unique(found["mask"])) > 1


def test_written_graph_answers_as_the_unmodified_model(tmp_path: Path) -> None:
    """Of another kind in test_import_annotated.py."""
    adapted = adapt_segmenter(opened_folder(tmp_path / "hub", segformer), FACTS)
    adapted.write(tmp_path / "model.onnx", 20)
    runtime, task = OnnxRuntime(tmp_path / "model.onnx"), Segmentation(adapted.spec)
    assert [(each.name, each.dtype, each.shape) for each in runtime.outputs] == [
        ("mask", "UINT8", (-1, SIDE, SIDE)),
        ("confidence", "FP32", (-1, len(LABELS))),
        ("embedding", "FP32", (-1, 16)),
    ]
    wanted, found = adapted.reference({"image": PICTURES}), runtime.run({"image": PICTURES})
    for index in range(len(PICTURES)):
        expected, actual = ({name: each[index] for name, each in side.items()} for side in (wanted, found))
        assert max(task.differences(expected, actual).values()) < 1e-3


def test_more_labels_than_a_byte_can_name(opened: TransformersModel) -> None:
    many = TransformersModel(opened.module, tuple(map(str, range(256))), opened.image, opened.input)
    with pytest.raises(BadInput, match="256 labels"):
        adapt_segmenter(many, FACTS)
