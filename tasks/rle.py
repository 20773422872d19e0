"""COCO run-length encoding: a region as the lengths of its runs, column by column, packed into printable text.

`counts` are lengths of runs outside and inside the region in turn, beginning outside. Each (from the fourth on, its
difference to the one two before) is written in groups of five bits, lowest first, with a sixth bit that says "more to
come", as the character 48 + group. Specification: `common/maskApi.c` of cocodataset/cocoapi; the strings are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from tasks.errors import BadInput
from tasks.label_grid import NOT_SEEN, LabelGrid

MAX_GROUPS = 7
"""Five-bit groups of one count: enough for pictures of 2³³ pixels."""


class Rle(msgspec.Struct, frozen=True):
    """One region of a picture, as `pycocotools.mask.decode` takes it. `size`: height, width in pixels."""

    size: tuple[int, int]
    counts: str


def encode_labels(grid: LabelGrid) -> dict[int, Rle]:
    """The region of every label that occurs (but `NOT_SEEN`) → its runs, ascending by label, in one pass over all."""
    labels, starts = column_runs(grid)
    num_pixels = grid.height * grid.width
    ends = np.append(starts[1:], num_pixels)
    order = np.argsort(labels, kind="stable")
    present, firsts = np.unique(labels[order], return_index=True)
    edges = np.stack([starts[order], ends[order]], axis=1)
    counts = [
        run_counts(part, num_pixels)
        for label, part in zip(present, np.split(edges, firsts[1:]), strict=True)
        if label != NOT_SEEN
    ]
    texts = pack_counts(counts)
    seen = [int(label) for label in present if label != NOT_SEEN]
    return {label: Rle((grid.height, grid.width), text) for label, text in zip(seen, texts, strict=True)}


def column_runs(grid: LabelGrid) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Runs of equal labels down the columns, one column of the original after the other: label and start of each, the
    start counted in pixels from the first. A run may go on from the foot of one column to the head of the next."""
    columns = np.ascontiguousarray(grid.labels.T)
    num_columns, num_rows = columns.shape
    is_start = np.ones((num_columns, num_rows), np.bool_)
    is_start[:, 1:] = columns[:, 1:] != columns[:, :-1]
    column, row = np.nonzero(is_start)
    labels, tops = columns[column, row], grid.row_edges[row]
    # Each column of the grid stands for several of the original, with the same runs.
    runs_per_column = np.bincount(column, minlength=num_columns)
    first_runs = np.cumsum(runs_per_column) - runs_per_column
    original = np.repeat(np.arange(num_columns), np.diff(grid.column_edges))
    num_runs = runs_per_column[original]
    before = np.cumsum(num_runs) - num_runs
    chosen = np.arange(num_runs.sum()) + np.repeat(first_runs[original] - before, num_runs)
    starts = tops[chosen] + np.repeat(np.arange(grid.width) * grid.height, num_runs)
    labels = labels[chosen]
    changes = np.append(True, labels[1:] != labels[:-1])
    return labels[changes], starts[changes]


def run_counts(edges: NDArray[np.int64], num_pixels: int) -> NDArray[np.int64]:
    """Starts and ends [n, 2] of the runs inside a region → lengths outside, inside, outside, …"""
    flat = edges.ravel()
    counts = np.diff(flat, prepend=0)
    rest = num_pixels - flat[-1]
    return np.append(counts, rest) if rest else counts


def pack_counts(counts: Sequence[NDArray[np.int64]]) -> list[str]:
    """Several regions' counts → their texts, all packed at once."""
    if not counts:
        return []
    deltas = [np.concatenate((one[:3], one[3:] - one[1:-2])) for one in counts]
    values = np.concatenate(deltas)
    # The highest group must hold the sign beside the value: 4 bits in the first group, 5 more in each further one.
    magnitudes = values ^ (values >> 63)
    num_groups = np.ones(len(values), np.int64)
    for group in range(1, MAX_GROUPS):
        num_groups += magnitudes >= 1 << (5 * group - 1)
    ends = np.cumsum(num_groups)
    text = np.empty(ends[-1], np.uint8)
    position, more = ends - num_groups, num_groups
    while len(values):
        more = more - 1
        text[position] = (values & 31) + np.where(more > 0, 32, 0) + 48
        going_on = more > 0
        values, position, more = values[going_on] >> 5, position[going_on] + 1, more[going_on]
    cuts = ends[np.cumsum([len(one) for one in counts]) - 1]
    return [part.tobytes().decode("ascii") for part in np.split(text, cuts[:-1])]


def decode_rle(rle: Rle) -> NDArray[np.bool_]:
    """The region as a mask [height, width]. Raises BadInput for counts that do not fill the size exactly."""
    inside: NDArray[np.bool_] = decode_labels({0: rle}) == 0
    return inside


def decode_labels(regions: Mapping[int, Rle]) -> NDArray[np.uint8]:
    """Regions of one picture that do not overlap, by label → a mask [height, width], `NOT_SEEN` where there is none.

    Raises BadInput for regions of different size, that overlap, or whose counts do not fill their size exactly."""
    size = next(iter(regions.values())).size
    parts = []
    for label, rle in regions.items():
        if rle.size != size:
            raise BadInput(f"regions of one picture must be of one size; got {list(size)} and {list(rle.size)}")
        edges = np.cumsum(checked_counts(rle))
        starts, ends = edges[:-1:2], edges[1::2]
        parts.append(np.stack([starts, ends, np.full(len(starts), label)]))
    runs = np.concatenate(parts, axis=1)
    starts, ends, labels = runs[:, np.argsort(runs[0], kind="stable")]
    if (ends[:-1] > starts[1:]).any():
        raise BadInput("regions of one picture overlap; give every pixel one label at most")
    # Between two runs, before the first and behind the last one there is a gap, mostly of no pixels.
    lengths = np.diff(np.stack([starts, ends], axis=1).ravel(), prepend=0, append=size[0] * size[1])
    alternating = np.full(len(lengths), NOT_SEEN, np.uint8)
    alternating[1::2] = labels
    return np.repeat(alternating, lengths).reshape(size[1], size[0]).T


def checked_counts(rle: Rle) -> NDArray[np.int64]:
    """Lengths outside, inside, outside, … that fill the region's picture. Raises BadInput."""
    height, width = rle.size
    counts = unpack_counts(rle.counts)
    if height < 1 or width < 1 or counts.min(initial=0) < 0 or counts.sum() != height * width:
        raise BadInput(
            f"run lengths do not add up to the {height}×{width} pixels of their picture; send whole COCO RLE"
        )
    return counts


def unpack_counts(text: str) -> NDArray[np.int64]:
    """The reverse of `pack_counts` for one region. Raises BadInput for text that no encoder writes."""
    groups = np.frombuffer(text.encode(), np.uint8).astype(np.int64) - 48
    if not len(groups) or groups.min() < 0 or groups.max() > 63 or groups[-1] >= 32:
        raise BadInput(f"{text[:32]!r} are not compressed run lengths of COCO")
    is_last = groups < 32
    lasts = np.flatnonzero(is_last)
    num_groups = np.diff(lasts, prepend=-1)
    if num_groups.max() > MAX_GROUPS:
        raise BadInput(f"{text[:32]!r} holds a run length of more than {MAX_GROUPS} characters")
    place = np.arange(len(groups)) - np.repeat(lasts - num_groups + 1, num_groups)
    values = np.add.reduceat((groups & 31) << (5 * place), lasts - num_groups + 1)
    is_negative = groups[lasts] & 16 != 0
    values -= np.where(is_negative, np.int64(1) << (5 * num_groups), 0)
    # From the fourth on they are differences to the one two before.
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
