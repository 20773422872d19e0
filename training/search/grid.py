"""All trials that a small space allows."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from training.search.space import Choices, Dimension, Range, SearchSpace
from training.search.toml_text import toml_text

Point = Mapping[str, Any]
"""What one trial draws: name of the dimension, or of the alternatives → value as the study's database knows it."""


def shuffled_points(space: SearchSpace, seed: int) -> list[Point]:
    """Every point once, in an order of the seed's: an interrupted search should have seen a bit of everything."""
    points = list(every_point(space))
    random.Random(seed).shuffle(points)
    return points


def every_point(space: SearchSpace) -> Iterator[Point]:
    """In the order of the file."""
    groups = [list(combine(space.dimensions))]
    for name, options in space.alternatives.items():
        groups.append([{name: label, **point} for label, own in options.items() for point in combine(own)])
    for parts in product(*groups):
        yield {name: value for part in parts for name, value in part.items()}


def combine(dimensions: Sequence[Dimension]) -> Iterator[Point]:
    """Every combination of their values."""
    for values in product(*(known_values(each.values) for each in dimensions)):
        yield {each.name: value for each, value in zip(dimensions, values, strict=True)}


def known_values(values: Range | Choices) -> list[Any]:
    """Numbers as they are; choices, which may be lists and tables, as their text in TOML."""
    if isinstance(values, Choices):
        return [toml_text(value) for value in values.values]
    step, size = 1 if values.step is None else values.step, values.size
    assert size is not None, "only what can be counted is listed"
    return [values.low + index * step for index in range(size)]
