from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from export.to_onnx import write_onnx
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.image import ImageSpec
from training.detection.overlap import pairwise_iou
from training.networks.build import build_head
from training.networks.config import ModelConfig
from training.networks.detector import CROWD, PADDING, Detector

IMAGE = ImageSpec(height=32, width=48)
NUM_CLASSES, NUM_CANDIDATES = 3, 12


def build() -> Detector:
    torch.manual_seed(0)
    backbone = {"depths": [1, 1, 1], "widths": [8, 8, 16], "stem": "halve"}
    options = {"strides": [4, 8], "channels": 8, "num_candidates": NUM_CANDIDATES, "crop_size": 3, "hidden": 32}
    resnet = ModelConfig(architecture="resnet", options=backbone)
    config = ModelConfig(architecture="faster_rcnn", options=options, backbone=resnet)
    network = build_head(config, "detector", NUM_CLASSES, IMAGE)
    assert isinstance(network, Detector)
    return network


def pictures(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 32, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def rectangles(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Grey pictures with one bright red or green rectangle: class 0 or 1."""
    images = torch.full((count, 32, 48, 3), 90, dtype=torch.uint8)
    boxes, class_ids = torch.zeros(count, 1, 4), (torch.arange(count) % 2).unsqueeze(1)
    for index in range(count):
        left, top = 4 * index, 2 * index
        images[index, top : top + 12, left : left + 14, index % 2] = 255
        boxes[index, 0] = torch.tensor([left, top, left + 14, top + 12])
    return images, boxes, class_ids


def total(losses: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(losses.values())).sum()


def test_it_answers_as_every_detector_does() -> None:
    with torch.inference_mode():
        boxes, scores, embedding = build().eval()(pictures(2))
    assert boxes.shape == (2, NUM_CANDIDATES, 4)
    assert scores.shape == (2, NUM_CANDIDATES, NUM_CLASSES)
    assert embedding.shape == (2, 16)
    assert (scores.amax(dim=2).diff(dim=1) <= 0).all()
    assert ((scores > 0) & (scores < 1)).all()


def test_it_learns_to_frame_and_name_what_it_is_shown() -> None:
    network = build()
    images, boxes, class_ids = rectangles(8)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-2)
    for _ in range(30):
        loss = total(network.losses(network.guess(network.features(images)), boxes, class_ids))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.inference_mode():
        candidates, scores, _ = network(images)
    assert pairwise_iou(boxes, candidates[:, :1]).mean() > 0.6
    assert torch.equal(scores[:, 0].argmax(dim=1), class_ids[:, 0])


def test_pictures_without_objects_and_with_crowds_train() -> None:
    network = build()
    for boxes, class_id in (
        (torch.zeros(2, 0, 4), PADDING),
        (torch.zeros(2, 3, 4), PADDING),
        (torch.tensor([[[0.0, 0.0, 48.0, 32.0]]] * 2), CROWD),
    ):
        network.zero_grad()
        losses = network.losses(
            network.guess(network.features(pictures(2))), boxes, torch.full(boxes.shape[:2], class_id)
        )
        total(losses).backward()  # type: ignore[no-untyped-call]
        assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    assert losses["first_class_loss"] == 0, "a crowd is no background"


def test_the_exported_graph_says_the_same_at_any_batch(tmp_path: Path) -> None:
    network = build()
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
