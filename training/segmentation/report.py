"""The evidence of a finished training: figures over held-out splits, and masks beside the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from tasks.segmentation import Segmentation, SegmentationSpec
from training.data.pixels import PixelDataset, open_pixels
from training.data.source import DataSource
from training.figures import draw_confusion, draw_learning_curve
from training.history import EpochRecord
from training.networks.segmenter import Segmenter
from training.segmentation.evaluation import measure
from training.segmentation.figures import MaskPanel, draw_class_scores, draw_masks
from training.segmentation.mask_metrics import MaskMetrics
from training.segmentation.targets import MaskTargets

PICTURES_SHOWN = 12


@dataclass(frozen=True)
class SegmentationEvaluation:
    """What the model is worth."""

    spec: SegmentationSpec
    validation: MaskMetrics
    test: MaskMetrics
    panels: tuple[MaskPanel, ...]
    """Some validation pictures, as the network saw them."""

    @property
    def metrics(self) -> dict[str, float]:
        return {**summarise(self.validation, "val"), **summarise(self.test, "test")}

    def write_figures(self, history: Sequence[EpochRecord], folder: Path) -> None:
        labels = self.spec.labels
        draw_learning_curve(history, "validation mean IoU", folder / "learning_curve.png")
        draw_masks(self.panels, labels, folder / "masks.png")
        draw_class_scores(self.validation, labels, folder / "class_scores.png")
        draw_confusion(percentages(self.validation), labels, folder / "confusion_matrix.png")
        facts = {
            "labels": labels,
            "iou": known_by_label(labels, self.validation.iou),
            "boundary_f": known_by_label(labels, self.validation.boundary_f),
            "pixels": self.validation.confusion.tolist(),
        }
        (folder / "segmentation.json").write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=2))


def evaluate(network: Segmenter, source: DataSource, spec: SegmentationSpec) -> SegmentationEvaluation:
    """Runs validation and test data through a trained network."""
    task, codec = Segmentation(spec), MaskTargets(spec.image)
    validation, test = source.split("validation"), source.split("test")
    pixels = open_pixels(validation, spec, codec)
    return SegmentationEvaluation(
        spec,
        measure(network, task, validation, pixels),
        measure(network, task, test, open_pixels(test, spec, codec)),
        show_some(network, pixels),
    )


def show_some(network: Segmenter, pixels: PixelDataset) -> tuple[MaskPanel, ...]:
    """The first pictures of a data set."""
    images, masks = pixels.__getitems__(list(range(min(PICTURES_SHOWN, len(pixels)))))
    network.eval()
    with torch.inference_mode():
        predicted = network(images.to(next(network.parameters()).device))[0]
    arrays = images.numpy(), masks.numpy(), predicted.cpu().numpy()
    return tuple(MaskPanel(*each) for each in zip(*arrays, strict=True))


def summarise(measured: MaskMetrics, prefix: str) -> dict[str, float]:
    """The means over classes, and the share of pixels named rightly."""
    return {
        f"{prefix}_miou": measured.mean_iou,
        f"{prefix}_boundary_f": measured.mean_boundary_f,
        f"{prefix}_pixel_accuracy": measured.pixel_accuracy,
    }


def known_by_label(labels: Sequence[str], values: NDArray[np.float64]) -> dict[str, float | None]:
    """None for what is not a number."""
    return {label: None if np.isnan(value) else float(value) for label, value in zip(labels, values, strict=True)}


def percentages(measured: MaskMetrics) -> NDArray[np.int64]:
    """The confusion [C, C] in rounded percent of each true class: counts of pixels would be too long to read."""
    counts = measured.confusion[:, : measured.num_classes]
    totals = np.maximum(measured.confusion.sum(axis=1, keepdims=True), 1)
    shares: NDArray[np.int64] = np.rint(100 * counts / totals).astype(np.int64)
    return shares
