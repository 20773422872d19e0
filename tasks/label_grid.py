"""A label mask at the model's resolution, laid over the original picture: a coarse grid with a line at every change.

An original of sixty megapixels repeats the rows and columns of a small mask thousands of times. Whatever is concluded
about its pixels (shares, runs, outlines) is computed on the grid, and only `pixels` ever touches each of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.placement import Placement

NOT_SEEN = 255
"""The label of pixels that the model never saw, because `fit = "crop"` cut them off."""


@dataclass(frozen=True, slots=True)
class LabelGrid:
    """`labels` uint8 [rows, columns]; cell (i, j) covers the original's pixels row_edges[i] ≤ y < row_edges[i + 1],
    column_edges[j] ≤ x < column_edges[j + 1]. Edges are int64, strictly ascending, from 0 to the picture's size."""

    labels: NDArray[np.uint8]
    row_edges: NDArray[np.int64]
    column_edges: NDArray[np.int64]

    @property
    def height(self) -> int:
        """Of the original picture, in pixels."""
        return int(self.row_edges[-1])

    @property
    def width(self) -> int:
        """Of the original picture, in pixels."""
        return int(self.column_edges[-1])

    def shares(self) -> NDArray[np.float64]:
        """[256]: the share of the original's pixels that each label has, `NOT_SEEN` included."""
        heights, widths = np.diff(self.row_edges), np.diff(self.column_edges)
        # Below 2⁵³ pixels the sums of whole numbers are exact, so equal areas compare equal.
        num_pixels = np.outer(heights, widths).astype(np.float64)
        num_by_label = np.bincount(self.labels.ravel(), num_pixels.ravel(), minlength=256).astype(np.float64)
        return num_by_label / (self.height * self.width)

    def pixels(self) -> NDArray[np.uint8]:
        """The mask in full, uint8 [height, width]."""
        wide = np.repeat(self.labels, np.diff(self.column_edges), axis=1)
        return np.repeat(wide, np.diff(self.row_edges), axis=0)


def plain_grid(labels: NDArray[np.uint8]) -> LabelGrid:
    """A mask [height, width] that is as large as its picture."""
    height, width = labels.shape
    return LabelGrid(labels, np.arange(height + 1), np.arange(width + 1))


def original_grid(mask: NDArray[np.uint8], placement: Placement) -> LabelGrid:
    """The model's mask [height, width] over the original picture: every pixel of the original takes the label that the
    mask has under its centre (nearest neighbour), or `NOT_SEEN` where that lies outside. One at least is seen."""
    rows, row_edges = cells_of_axis(placement.original_height, placement.scale_y, placement.offset_y, mask.shape[0])
    columns, column_edges = cells_of_axis(
        placement.original_width, placement.scale_x, placement.offset_x, mask.shape[1]
    )
    inside_y, inside_x = rows.clip(0, mask.shape[0] - 1), columns.clip(0, mask.shape[1] - 1)
    labels = mask[inside_y[:, None], inside_x]
    labels[rows != inside_y] = NOT_SEEN
    labels[:, columns != inside_x] = NOT_SEEN
    return LabelGrid(labels, row_edges, column_edges)


def cells_of_axis(
    num_pixels: int, scale: float, offset: float, size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Along one axis: the mask's index under each run of the original's pixels (−1 before the mask, `size` behind it),
    and the edges of those runs."""
    under_centres = np.floor((np.arange(num_pixels) + 0.5) * scale + offset).clip(-1, size).astype(np.int64)
    if not ((under_centres >= 0) & (under_centres < size)).any():
        # A crop of less than one pixel may lie between two centres. The picture must not be without any label.
        middle = int((size / 2 - offset) / scale)
        under_centres[min(middle, num_pixels - 1)] = size // 2
    inner_edges = np.flatnonzero(np.diff(under_centres)) + 1
    edges = np.concatenate(([0], inner_edges, [num_pixels]))
    return under_centres[edges[:-1]], edges
