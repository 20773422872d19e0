"""Pictures of which the hand-built detector and segmenter must know every pixel: patches of grey on black."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LEVELS: Mapping[str, int] = {"background": 20, "middling": 128, "light": 235}
"""Brightness of each class; what is dark is no object."""
Board = Mapping[tuple[int, int], str]
"""(row, column) of a grid of 4 × 4 → what lies there."""


def patch_edges(side: int) -> list[int]:
    """Where the four rows or columns of a picture begin, and its end."""
    return [side * step // 4 for step in range(5)]


def mask_of(board: Board, height: int, width: int) -> NDArray[np.uint8]:
    """Class index of every pixel, [height, width]."""
    names = list(LEVELS)
    rows, columns = patch_edges(height), patch_edges(width)
    mask = np.zeros((height, width), np.uint8)
    for (row, column), name in board.items():
        mask[rows[row] : rows[row + 1], columns[column] : columns[column + 1]] = names.index(name)
    return mask


def picture_of(board: Board, height: int, width: int) -> Image.Image:
    grey = np.array(list(LEVELS.values()), np.uint8)[mask_of(board, height, width)]
    return Image.fromarray(np.repeat(grey[..., None], 3, axis=2))


def boxes_of(board: Board, height: int, width: int) -> set[tuple[str, tuple[float, ...]]]:
    """What a detector must find: label and (left, top, right, bottom)."""
    rows, columns = patch_edges(height), patch_edges(width)
    return {
        (name, tuple(map(float, (columns[column], rows[row], columns[column + 1], rows[row + 1]))))
        for (row, column), name in board.items()
    }
