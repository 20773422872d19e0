"""Pictures of a training run that every kind of model may need: curves, a confusion matrix, a grid of pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.history import EpochRecord

COLUMNS = 6


def draw_learning_curve(
    history: Sequence[EpochRecord], score: str, path: Path, training: str = "training (augmented, smoothed)"
) -> None:
    """Losses on the left, the validation score of this name on the right, over epochs. `training`: what kind of figure
    the training loss is."""
    epochs = [record.epoch for record in history]
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    losses.plot(epochs, [record.train_loss for record in history], label=training)
    if all(record.val_loss is not None for record in history):
        losses.plot(epochs, [record.val_loss for record in history], label="validation")
    losses.set(xlabel="epoch", ylabel="loss")
    losses.legend()
    scores.plot(epochs, [record.score for record in history])
    scores.set(xlabel="epoch", ylabel=score)
    save(figure, path)


def draw_confusion(counts: NDArray[np.int64], labels: Sequence[str], path: Path) -> None:
    """Shares of each true class (rows) by predicted class (columns); counts are written where classes are few."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(12.0, 2 + 0.5 * len(labels))
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_xticks(range(len(labels)), labels, rotation=90)
    axes.set_yticks(range(len(labels)), labels)
    if len(labels) <= 20:
        for row, column in np.ndindex(counts.shape):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize=7)
    save(figure, path)


def draw_pictures(pictures: Sequence[NDArray[np.uint8]], captions: Sequence[str], path: Path) -> None:
    """Pictures uint8 [H, W, 3] in a grid, a caption over each."""
    rows = max(1, math.ceil(len(pictures) / COLUMNS))
    figure = Figure(figsize=(1.7 * COLUMNS, 1.9 * rows), layout="constrained")
    for index, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        axes = figure.add_subplot(rows, COLUMNS, index + 1)
        axes.imshow(picture)
        axes.set_title(caption, fontsize=8)
        axes.axis("off")
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """As PNG, without a display."""
    figure.set_canvas(FigureCanvasAgg(figure))
    figure.savefig(path, format="png")
