"""The outlines of regions as polygons along the edges of pixels, exact: filled again, they give the regions back.

A ring is [x0, y0, x1, y1, …] in pixels of the original, as in COCO, not repeating its first point; only corners are
points. A region's rings are outer ones, clockwise as seen on the screen, and holes, counter-clockwise: their signed
area Σ (xᵢ·yᵢ₊₁ − xᵢ₊₁·yᵢ) / 2 is positive and negative. Filled by the even-odd or the non-zero rule the rings of a
region give exactly its pixels. Pixels that touch at a corner alone belong to different rings.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.label_grid import NOT_SEEN, LabelGrid

Ring = list[int]


class Corners(NamedTuple):
    """Corners of regions, ascending by label, then row, then column. Of the four pixels around the corner's vertex,
    `quadrant` (0 above left, 1 above right, 2 below left, 3 below right) is the one that alone belongs to the region
    or, where `is_dent`, alone does not."""

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    label: NDArray[np.uint8]
    quadrant: NDArray[np.int64]
    is_dent: NDArray[np.bool_]


def trace_labels(grid: LabelGrid) -> dict[int, list[Ring]]:
    """The rings of every label that occurs (but `NOT_SEEN`), ascending by label; of all labels at once."""
    row, column, label, quadrant, is_dent = find_corners(grid.labels)
    edge_is_left, edge_is_above = quadrant % 2 == 0, quadrant < 2
    # Along a line of the grid, corners of one label pair up: each pair is a straight edge. Where two pixels of it touch
    # at a corner there are two corners in one place, and the edge that comes from the left (from above) is first.
    across = paired(np.lexsort((~edge_is_left, column, row, label)))
    down = paired(np.lexsort((~edge_is_above, row, column, label)))
    # Which of a corner's two edges leads away from it, walking with the region on the right hand side.
    leaves_across = (edge_is_left == edge_is_above) != is_dent
    rings = follow(np.where(leaves_across, across, down).tolist())
    points = np.stack([grid.column_edges[column], grid.row_edges[row]], axis=1)
    coordinates = points[[corner for ring in rings for corner in ring]].ravel().tolist()
    owners = label.tolist()
    found: dict[int, list[Ring]] = {}
    at = 0
    for ring in rings:
        found.setdefault(owners[ring[0]], []).append(coordinates[at : at + 2 * len(ring)])
        at += 2 * len(ring)
    return found


def find_corners(labels: NDArray[np.uint8]) -> Corners:
    """Every corner of every region of labels [rows, columns]."""
    framed = np.pad(labels, 1, constant_values=NOT_SEEN)
    quadrants = np.stack([framed[:-1, :-1], framed[:-1, 1:], framed[1:, :-1], framed[1:, 1:]])
    row, column = np.nonzero((quadrants != quadrants[0]).any(axis=0))
    own = quadrants[:, row, column]  # [4, vertices where labels meet]
    beside, below, opposite = own[[1, 0, 3, 2]], own[[2, 3, 0, 1]], own[::-1]
    # A bump is alone, whatever lies opposite: pixels that touch at a corner are apart. A dent has one label around it.
    bump_quadrant, bump = np.nonzero((beside != own) & (below != own) & (own != NOT_SEEN))
    is_dent = (beside != own) & (beside == below) & (beside == opposite) & (beside != NOT_SEEN)
    dent_quadrant, dent = np.nonzero(is_dent)
    vertex = np.concatenate((bump, dent))
    label = np.concatenate((own[bump_quadrant, bump], beside[dent_quadrant, dent]))
    order = np.lexsort((column[vertex], row[vertex], label))
    vertex, quadrant = vertex[order], np.concatenate((bump_quadrant, dent_quadrant))[order]
    return Corners(row[vertex], column[vertex], label[order], quadrant, order >= len(bump))


def paired(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Partner of each: those at places 0 and 1 of `order` belong together, those at 2 and 3, …"""
    partners = np.empty_like(order)
    partners[order[::2]], partners[order[1::2]] = order[1::2], order[::2]
    return partners


def follow(successors: list[int]) -> list[list[int]]:
    """The cycles of a permutation, each from its smallest member on, in the order of those."""
    is_new = [True] * len(successors)
    cycles = []
    for first in range(len(successors)):
        if is_new[first]:
            cycle, at = [], first
            while is_new[at]:
                is_new[at] = False
                cycle.append(at)
                at = successors[at]
            cycles.append(cycle)
    return cycles
