"""Pictures of what a captioner does: its sentences, where it looked for each word, how long sentences fare."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.figures import save

COLUMNS = 4
WRAP = 34
"""Characters in a line over a picture of a grid."""
WORDS_SHOWN = 7
DIMMEST = 0.3
"""Of its brightness a picture keeps this where nobody looked: what was overlooked must still be seen."""


class Panel(NamedTuple):
    """A picture uint8 [H, W, 3], what was said of it, and what would have been right."""

    picture: NDArray[np.uint8]
    said: str
    references: tuple[str, ...]


class Gaze(NamedTuple):
    """A picture uint8 [H, W, 3]; the pieces of what was said of it; and for each of them how much of the model's
    attention lay on each cell of the picture, FP32 [pieces, rows, columns]."""

    picture: NDArray[np.uint8]
    pieces: tuple[str, ...]
    maps: NDArray[np.float32]


def draw_captions(panels: Sequence[Panel], path: Path) -> None:
    """Pictures in a grid with their captions over them: green for right ones, red for others, with a reference."""
    rows = max(1, math.ceil(len(panels) / COLUMNS))
    figure = Figure(figsize=(3.1 * COLUMNS, 3.4 * rows), layout="constrained")
    for index, panel in enumerate(panels, 1):
        axes = figure.add_subplot(rows, COLUMNS, index)
        axes.imshow(panel.picture)
        axes.axis("off")
        is_right = panel.said in panel.references
        title = textwrap.fill(panel.said, WRAP)
        if not is_right:
            title += "\n" + textwrap.fill(f"[{panel.references[0]}]", WRAP)
        axes.set_title(title, fontsize=8, color="green" if is_right else "red")
    save(figure, path)


def draw_gazes(gazes: Sequence[Gaze], path: Path) -> None:
    """A row for each picture: as it is, then for the words that drew most attention to one place, brighter where the
    model looked. Over each word, which share of its attention was on the picture at all."""
    rows = max(1, len(gazes))
    figure = Figure(figsize=(1.6 * (WORDS_SHOWN + 2), 1.9 * rows + 0.5), layout="constrained")
    figure.suptitle(
        "Brighter: looked at for this word.  Percentage: attention on the picture, not on words", fontsize=10
    )
    grid = figure.subplots(rows, WORDS_SHOWN + 1, squeeze=False, width_ratios=[2] + [1] * WORDS_SHOWN)
    for row in grid:
        for axes in row:
            axes.axis("off")
    for row, gaze in zip(grid, gazes, strict=False):
        row[0].imshow(gaze.picture)
        row[0].set_title(textwrap.fill("".join(gaze.pieces), WRAP), fontsize=8)
        for axes, index in zip(row[1:], seen_most(gaze), strict=False):
            axes.imshow(shade(gaze.picture, gaze.maps[index]))
            axes.set_title(f"{gaze.pieces[index].strip()!r} {gaze.maps[index].sum():.0%}", fontsize=8)
    save(figure, path)


def seen_most(gaze: Gaze) -> list[int]:
    """The pieces with letters for which some cell drew more attention than for others, in the order of the sentence."""
    peaks = gaze.maps.max(axis=(1, 2))
    spoken = [index for index, piece in enumerate(gaze.pieces) if any(map(str.isalnum, piece))]
    return sorted(sorted(spoken, key=lambda index: -peaks[index])[:WORDS_SHOWN])


def shade(picture: NDArray[np.uint8], weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A picture uint8 [H, W, 3] darkened where weights [rows, columns] are small against the largest of them."""
    from PIL import Image

    height, width = picture.shape[:2]
    scaled = Image.fromarray(weights / max(float(weights.max()), 1e-9))
    light = np.asarray(scaled.resize((width, height), Image.Resampling.BICUBIC), np.float32).clip(0, 1)
    shaded: NDArray[np.uint8] = (picture * (DIMMEST + (1 - DIMMEST) * light[..., None])).astype(np.uint8)
    return shaded


def draw_lengths(lengths: Sequence[int], exact: Sequence[bool], path: Path) -> None:
    """Share of captions that are right, letter for letter, over the words of the reference."""
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    found, counts = np.unique(lengths, return_counts=True)
    right = [sum(ok for ok, words in zip(exact, lengths, strict=True) if words == each) for each in found]
    shares = [int(number) / int(count) for number, count in zip(right, counts, strict=True)]
    axes.bar(found, shares)
    for words, share, count in zip(found, shares, counts, strict=True):
        axes.text(words, share, str(count), ha="center", va="bottom", fontsize=6)
    axes.set(xlabel="words of the reference (number of pictures over each)", ylabel="exact match", ylim=(0, 1.08))
    save(figure, path)
