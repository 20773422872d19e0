"""Pictures of what a detector does: its precision over recall, and its boxes on pictures beside the true ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from training.detection.coco import CocoResult
from training.detection.threshold import ScoreSweep
from training.figures import save

COLUMNS = 4
OVERLAPS_SHOWN = {0: 0.5, 5: 0.75}
"""Index of an overlap in `CocoResult.precision` → what it is."""
MAX_LEGEND = 20


class Panel(NamedTuple):
    """A picture uint8 [H, W, 3] with the boxes [n, 4] that are there and those [m, 4] that were found, and what to
    write at them, all in pixels of this picture."""

    picture: NDArray[np.uint8]
    true_boxes: NDArray[np.floating]
    true_names: list[str]
    found_boxes: NDArray[np.floating]
    found_names: list[str]


def draw_precision_recall(result: CocoResult, path: Path) -> None:
    """A curve for each class that has objects, at two overlaps."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    for axes, (index, overlap) in zip(figure.subplots(1, 2), OVERLAPS_SHOWN.items(), strict=True):
        for label, precision in result.class_ap(index).items():
            curve = result.precision[index, :, result.labels.index(label)]
            axes.plot(np.linspace(0, 1, len(curve)), curve, label=f"{label}: {precision:.2f}")
        axes.set(xlabel="recall", ylabel="precision", title=f"at an overlap of {overlap}", ylim=(0, 1.02))
        if len(result.labels) <= MAX_LEGEND:
            axes.legend(fontsize=7, title="average precision")
    save(figure, path)


def draw_thresholds(sweep: ScoreSweep, chosen: float, path: Path) -> None:
    """Precision, recall and F1 over the score threshold, with the one that was chosen."""
    figure = Figure(figsize=(5.5, 4), layout="constrained")
    axes = figure.subplots()
    for name, values in (("precision", sweep.precision), ("recall", sweep.recall), ("F1", sweep.f1)):
        axes.plot(sweep.thresholds, values, label=name)
    axes.axvline(chosen, color="grey", linestyle="--", label=f"chosen: {chosen:.2f}")
    axes.set(xlabel="score threshold", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend()
    save(figure, path)


def draw_panels(panels: Sequence[Panel], path: Path) -> None:
    """Pictures in a grid; true boxes are dashed and white, found ones are green."""
    rows = max(1, math.ceil(len(panels) / COLUMNS))
    figure = Figure(figsize=(2.6 * COLUMNS, 2.6 * rows), layout="constrained")
    for index, panel in enumerate(panels, 1):
        axes = figure.add_subplot(rows, COLUMNS, index)
        axes.imshow(panel.picture)
        axes.axis("off")
        mark_boxes(axes, panel.true_boxes, "white", "--")
        mark_boxes(axes, panel.found_boxes, "lime", "-")
        # Names of what is there stand below, of what was found above: most boxes lie on each other.
        for (left, _, _, bottom), name in zip(panel.true_boxes, panel.true_names, strict=True):
            axes.text(left, bottom, name, color="white", fontsize=7, va="top")
        for (left, top, _, _), name in zip(panel.found_boxes, panel.found_names, strict=True):
            axes.text(left, top, name, color="lime", fontsize=7, va="bottom")
    save(figure, path)


def mark_boxes(axes: Axes, boxes: NDArray[np.floating], colour: str, style: str) -> None:
    """The outlines of boxes [n, 4]."""
    for left, top, right, bottom in boxes:
        outline = Rectangle(
            (left, top), right - left, bottom - top, fill=False, edgecolor=colour, linestyle=style, linewidth=1
        )
        axes.add_patch(outline)
