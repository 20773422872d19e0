"""Pictures of what a segmenter does: its masks beside the truth, and its scores by class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tasks.palette_png import PALETTE
from training.figures import save
from training.segmentation.mask_metrics import MaskMetrics

PANELS_PER_ROW = 3


class MaskPanel(NamedTuple):
    """One picture uint8 [H, W, 3] with its true and its predicted mask uint8 [H, W]."""

    picture: NDArray[np.uint8]
    true: NDArray[np.uint8]
    predicted: NDArray[np.uint8]


def draw_masks(panels: Sequence[MaskPanel], labels: Sequence[str], path: Path) -> None:
    """Picture, truth and prediction of each panel side by side, in the colours of the task's palette."""
    rows = max(1, math.ceil(len(panels) / PANELS_PER_ROW))
    figure = Figure(figsize=(4.5 * PANELS_PER_ROW, 1.9 * rows + 0.4), layout="constrained")
    columns = 3 * PANELS_PER_ROW
    for index, panel in enumerate(panels):
        shown = (panel.picture, PALETTE[panel.true], PALETTE[panel.predicted])
        captions = ("", f"true: {named(panel.true, labels)}", f"predicted: {named(panel.predicted, labels)}")
        for offset, (image, caption) in enumerate(zip(shown, captions, strict=True)):
            axes = figure.add_subplot(rows, columns, 3 * index + offset + 1)
            axes.imshow(image)
            axes.set_title(caption, fontsize=7)
            axes.axis("off")
    save(figure, path)


def named(mask: NDArray[np.uint8], labels: Sequence[str]) -> str:
    """The first few classes of a mask, without the one that covers most of it."""
    counts = np.bincount(mask.ravel(), minlength=256)[: len(labels)]
    present = [labels[index] for index in np.flatnonzero(counts).tolist() if index != counts.argmax()]
    return ", ".join(present[:6]) or "nothing"


def draw_class_scores(metrics: MaskMetrics, labels: Sequence[str], path: Path) -> None:
    """IoU and boundary F of every class as bars; a class that does not occur has none."""
    places = np.arange(len(labels))
    figure = Figure(figsize=(max(4.0, 0.6 * len(labels) + 2), 3.5), layout="constrained")
    axes = figure.subplots()
    axes.bar(places - 0.2, np.nan_to_num(metrics.iou), 0.4, label=f"IoU, mean {metrics.mean_iou:.3f}")
    axes.bar(
        places + 0.2, np.nan_to_num(metrics.boundary_f), 0.4, label=f"boundary F, mean {metrics.mean_boundary_f:.3f}"
    )
    axes.set_xticks(places, labels, rotation=90)
    axes.set(ylim=(0, 1), ylabel="validation")
    axes.legend(loc="lower right")
    save(figure, path)
