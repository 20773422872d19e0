"""Regions of objects as COCO files give them (polygons or run lengths), and the mask that several of them make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tasks.errors import BadInput
from tasks.rle import Rle, checked_counts, decode_rle, pack_counts
from training.data.annotation import IGNORED
from training.data.box import EDGE_TOLERANCE, Box
from training.data.digits import encode_png


class Runs(msgspec.Struct, frozen=True):
    """A region as run lengths down the columns, compressed to text or as numbers. `size`: height, width."""

    size: tuple[int, int]
    counts: str | list[int]


Polygons = list[list[float]]
Region = Polygons | Runs


class PaintedRegion(NamedTuple):
    """What becomes of one object in a mask. Where its region is not known, its box is painted."""

    value: int
    region: Region | None
    box: Box


def check_region(region: Region, height: int, width: int) -> None:
    """Raises BadInput for a region that cannot be one of a picture of this size."""
    if isinstance(region, Runs):
        if region.size != (height, width):
            raise BadInput(f"its run lengths are for {list(region.size)}, its picture has [{height}, {width}]")
        checked_counts(compressed(region))
        return
    for polygon in region:
        if len(polygon) < 6 or len(polygon) % 2:
            raise BadInput(f"a polygon has {len(polygon)} numbers; it takes x and y of three corners or more")
        corners = np.asarray(polygon, np.float64).reshape(-1, 2)
        beyond = np.maximum(-corners, corners - (width, height)).max()
        if not beyond <= EDGE_TOLERANCE:
            raise BadInput(f"a polygon leaves the picture of {width}×{height} pixels by {beyond:g} pixels")


def compressed(runs: Runs) -> Rle:
    """Run lengths in the form that `tasks.rle` reads. Raises BadInput."""
    if isinstance(runs.counts, str):
        return Rle(runs.size, runs.counts)
    num_pixels = runs.size[0] * runs.size[1]
    if not runs.counts or not all(0 <= count <= num_pixels for count in runs.counts):
        raise BadInput("its run lengths are none at all, or one is negative or longer than the picture")
    return Rle(runs.size, pack_counts([np.array(runs.counts, np.int64)])[0])


def rasterise_region(region: Region, height: int, width: int) -> NDArray[np.bool_]:
    """The pixels of a sound region: bool [height, width]."""
    if isinstance(region, Runs):
        return decode_rle(compressed(region))
    from faster_coco_eval.core import mask as coco_mask

    inside = [np.clip(np.reshape(polygon, (-1, 2)), 0, (width, height)).ravel().tolist() for polygon in region]
    merged = coco_mask.merge(coco_mask.frPyObjects(inside, height, width))
    # Several times as fast as the library's own decoder.
    return decode_rle(Rle((height, width), merged["counts"].decode()))


def paint_regions(regions: Sequence[PaintedRegion], height: int, width: int) -> bytes:
    """A mask as PNG: what is ignored first, then larger objects before smaller ones, on a background of 0."""
    layers: list[tuple[bool, int, int, NDArray[np.bool_]]] = []
    for index, (value, region, box) in enumerate(regions):
        pixels = box_pixels(box, height, width) if region is None else rasterise_region(region, height, width)
        layers.append((value != IGNORED, -int(pixels.sum()), index, pixels))
    # Column by column in memory, as regions are.
    mask = np.zeros((height, width), np.uint8, order="F")
    for _, _, index, pixels in sorted(layers, key=lambda layer: layer[:3]):
        mask[pixels] = regions[index].value
    return encode_png(np.ascontiguousarray(mask))


def box_pixels(box: Box, height: int, width: int) -> NDArray[np.bool_]:
    """Every pixel that a box touches."""
    pixels = np.zeros((height, width), np.bool_)
    pixels[int(box.top) : int(np.ceil(box.bottom)), int(box.left) : int(np.ceil(box.right))] = True
    return pixels
