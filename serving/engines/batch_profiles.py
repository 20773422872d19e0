"""The shapes an engine is built for: one profile for each batch size of the manifest, and the last for all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from registry.manifest import Graph
from tasks.errors import Unsupported
from tasks.task import TensorSpec

Shape = tuple[int, ...]
PICTURE_AXES = (1, 2)
"""Height and width of a picture [batch, height, width, 3]."""


class ShapeRange(NamedTuple):
    """What one input may be shaped like; `usual` is what kernels are chosen for."""

    smallest: Shape
    usual: Shape
    largest: Shape


BatchProfile = Mapping[str, ShapeRange]
"""Input name → shapes."""


def batch_profiles(
    graph: Graph, batch_buckets: Sequence[int], image_sizes: Sequence[tuple[int, int]]
) -> tuple[BatchProfile, ...]:
    """For each batch size one profile of exactly that many pictures of the usual size, the first of `image_sizes`. The
    last one also takes every smaller batch and every other size, so that there is nothing an engine can not answer.

    Raises Unsupported for an input with a free axis whose extent the manifest does not tell."""
    buckets = sorted(batch_buckets)
    exact = [
        {spec.name: exactly(shape_of(spec, bucket, image_sizes)) for spec in graph.inputs} for bucket in buckets[:-1]
    ]
    return (*exact, {spec.name: whole_range(spec, buckets[-1], image_sizes) for spec in graph.inputs})


def exactly(shape: Shape) -> ShapeRange:
    return ShapeRange(shape, shape, shape)


def whole_range(spec: TensorSpec, largest_batch: int, image_sizes: Sequence[tuple[int, int]]) -> ShapeRange:
    usual = shape_of(spec, largest_batch, image_sizes)
    shapes = [shape_of(spec, batch, [size]) for batch in (1, largest_batch) for size in image_sizes or [(0, 0)]]
    extents = list(zip(*shapes, strict=True))
    return ShapeRange(tuple(min(axis) for axis in extents), usual, tuple(max(axis) for axis in extents))


def shape_of(spec: TensorSpec, batch: int, image_sizes: Sequence[tuple[int, int]]) -> Shape:
    """The input's shape with that many rows, of pictures of the first size."""
    known = dict(zip(PICTURE_AXES, image_sizes[0], strict=True)) if image_sizes and len(spec.shape) == 4 else {}
    known[0] = batch
    if unknown := [axis for axis, extent in enumerate(spec.shape) if extent < 0 and axis not in known]:
        raise Unsupported(
            f"input {spec.name!r} {list(spec.shape)}: the manifest does not tell how large axis {unknown[0]} gets, and "
            "an engine is built for known sizes"
        )
    return tuple(known[axis] if extent < 0 else extent for axis, extent in enumerate(spec.shape))


def is_within(shapes: Mapping[str, Shape], profile: BatchProfile) -> bool:
    """Whether every input fits, and they have all the same number of rows."""
    return all(
        len(shapes[name]) == len(limits.usual)
        and all(
            low <= extent <= high
            for low, extent, high in zip(limits.smallest, shapes[name], limits.largest, strict=True)
        )
        for name, limits in profile.items()
    )
