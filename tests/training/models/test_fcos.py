from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export.to_onnx import write_onnx
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.errors import InvalidRecipe
from tasks.image import ImageSpec
from training.detection.overlap import pairwise_iou
from training.networks.build import build_head
from training.networks.config import ModelConfig
from training.networks.detector import CROWD, PADDING, Detector

IMAGE = ImageSpec(height=32, width=48)
NUM_CLASSES = 3


def build(**options: Any) -> Detector:
    torch.manual_seed(0)
    backbone = {"depths": [1, 1, 1], "widths": [8, 8, 16], "stem": "halve"}
    config = ModelConfig(
        architecture="fcos",
        options={"strides": [4, 8], "channels": 8, "depth": 1, **options},
        backbone=ModelConfig(architecture="resnet", options=backbone),
    )
    network = build_head(config, "detector", NUM_CLASSES, IMAGE)
    assert isinstance(network, Detector)
    return network


def pictures(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 32, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def rectangle(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Grey pictures with one bright red or green rectangle: class 0 or 1."""
    generator = torch.Generator().manual_seed(2)
    images = torch.full((count, 32, 48, 3), 90, dtype=torch.uint8)
    boxes, class_ids = torch.zeros(count, 1, 4), torch.zeros(count, 1, dtype=torch.int64)
    for index in range(count):
        left, top = (int(torch.randint(0, limit, (), generator=generator)) for limit in (30, 16))
        right, bottom = left + 14, top + 12
        class_ids[index, 0] = index % 2
        images[index, top:bottom, left:right, index % 2] = 255
        boxes[index, 0] = torch.tensor([left, top, right, bottom])
    return images, boxes, class_ids


@pytest.mark.parametrize(("asked", "given"), [(20, 20), (300, 8 * 12 + 4 * 6)])
def test_candidates_are_as_many_as_asked_for_and_best_first(asked: int, given: int) -> None:
    network = build(num_candidates=asked).eval()
    with torch.inference_mode():
        boxes, scores, embedding = network(pictures(3))
        alone = network(pictures(3)[1:2])
    assert (boxes.shape, scores.shape, embedding.shape) == ((3, given, 4), (3, given, NUM_CLASSES), (3, 16))
    assert {tensor.dtype for tensor in (boxes, scores, embedding)} == {torch.float32}
    assert (scores.amax(dim=2).diff(dim=1) <= 0).all()
    assert ((scores > 0) & (scores < 1)).all()
    assert (boxes[..., :2] < boxes[..., 2:]).all()
    for batched, single in zip((boxes, scores, embedding), alone, strict=True):
        assert torch.allclose(batched[1:2], single, atol=1e-4)


@pytest.mark.parametrize(("assignment", "learns_names"), [("aligned", True), ("centre", False)])
def test_it_learns_to_frame_and_name_what_it_is_shown(assignment: str, learns_names: bool) -> None:
    network = build(assignment=assignment)
    images, boxes, class_ids = rectangle(8)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-2)
    for _ in range(25):
        loss = torch.stack(
            list(network.losses(network.guess(network.features(images)), boxes, class_ids).values())
        ).sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.inference_mode():
        candidates, scores, _ = network(images)
    assert pairwise_iou(boxes, candidates[:, :1]).mean() > 0.7
    # Names take centre sampling longer than a test may.
    assert not learns_names or torch.equal(scores[:, 0].argmax(dim=1), class_ids[:, 0])


def test_padding_costs_nothing_and_pictures_without_objects_train() -> None:
    network = build()
    images, boxes, class_ids = rectangle(4)
    guess = network.guess(network.features(images))
    plain = network.losses(guess, boxes, class_ids)
    more_boxes = torch.cat((boxes, torch.rand(4, 2, 4) * 30), dim=1)
    more_ids = torch.cat((class_ids, torch.full((4, 2), PADDING)), dim=1)
    padded = network.losses(guess, more_boxes, more_ids)
    assert all(torch.allclose(plain[name], padded[name]) for name in plain)
    for nothing in (torch.zeros(4, 0, 4), torch.zeros(4, 2, 4)):
        network.zero_grad()
        losses = network.losses(
            network.guess(network.features(images)), nothing, torch.full(nothing.shape[:2], PADDING)
        )
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
        assert losses["class_loss"] > 0


def test_a_crowd_is_no_background() -> None:
    network = build()
    images, _, _ = rectangle(4)
    everywhere = torch.tensor([[[0.0, 0.0, 48.0, 32.0]]]).expand(4, -1, -1)
    losses = network.losses(network.guess(network.features(images)), everywhere, torch.full((4, 1), CROWD))
    assert losses["class_loss"] == 0


def test_the_exported_graph_says_the_same_at_any_batch(tmp_path: Path) -> None:
    network = build(num_candidates=40)
    network.train()
    with torch.no_grad():
        network.features(pictures(8))  # batch statistics that are not those of a new network
    write_onnx(network, IMAGE, network.output_names, tmp_path / "model.onnx")
    with torch.inference_mode():
        expected = [output.numpy() for output in network.eval()(pictures(3))]
    runtime = OnnxRuntime(tmp_path / "model.onnx")
    try:
        for size in (1, 3):
            outputs = runtime.run({"image": pictures(3)[:size].numpy()})
            for name, wanted in zip(network.output_names, expected, strict=True):
                np.testing.assert_allclose(outputs[name], wanted[:size], atol=1e-3)
    finally:
        runtime.close()


def test_strides_that_the_backbone_lacks_are_named() -> None:
    with pytest.raises(InvalidRecipe, match=r"no map of stride 64.* choose from 2, 4, 8"):
        build(strides=[8, 64])


def test_boxes_stay_finite_whatever_the_weights_say() -> None:
    network = build().eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("frame.bias"):
                parameter.fill_(1e4)
        boxes, _, _ = network(pictures(1))
    assert np.isfinite(boxes.numpy()).all()
