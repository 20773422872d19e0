"""A search space: which fields of a recipe a search may change, and what each may become."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tasks.errors import InvalidRecipe
from training.search.toml_text import as_override


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones where both ends are. `log`: small ones are drawn as often
    as large ones. `step`: only `low` and what
    lies so far from one another above it."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Does it consist of integers?"""
        return isinstance(self.low, int) and isinstance(self.high, int) and not isinstance(self.step, float)

    @property
    def size(self) -> int | None:
        """How many numbers there are; None where they can not be counted."""
        step = self.step if self.step is not None else 1 if self.whole else None
        # A step of 0.1 ten times must reach 1, whatever a float makes of it.
        return None if step is None else math.floor((self.high - self.low) / step + 1e-9) + 1

    @property
    def ends(self) -> tuple[float, float]:
        return self.low, self.high


@dataclass(frozen=True)
class Choices:
    """One of several values of any kind that TOML has."""

    values: tuple[Any, ...]

    @property
    def size(self) -> int:
        return len(self.values)

    @property
    def ends(self) -> tuple[Any, ...]:
        return self.values


@dataclass(frozen=True)
class Dimension:
    """One field of the recipe, by its dotted name. `within` says which alternative it belongs to, empty for none: the
    same field may be in several of them."""

    field: str
    values: Range | Choices
    within: str = ""

    @property
    def name(self) -> str:
        """Unlike that of any other dimension of the space."""
        return f"{self.field} ({self.within})" if self.within else self.field


class Draw(Protocol):
    """Decides what a trial tries."""

    def label(self, name: str, labels: Sequence[str]) -> str:
        """One of these alternatives."""
        ...

    def value(self, dimension: Dimension) -> Any:
        """What the dimension's field becomes."""
        ...


@dataclass(frozen=True)
class SearchSpace:
    """`alternatives`: name → label → dimensions; a trial takes one label of each name, and only its dimensions."""

    dimensions: tuple[Dimension, ...]
    alternatives: Mapping[str, Mapping[str, tuple[Dimension, ...]]]

    @property
    def size(self) -> int | None:
        """How many different trials there can be; None where they can not be counted."""
        sizes = [count_points(self.dimensions)]
        for options in self.alternatives.values():
            within = [count_points(dimensions) for dimensions in options.values()]
            sizes.append(None if None in within else sum(size for size in within if size is not None))
        return None if None in sizes else math.prod(size for size in sizes if size is not None)

    def every_dimension(self) -> Iterator[Dimension]:
        """Those of all alternatives too."""
        yield from self.dimensions
        for options in self.alternatives.values():
            for dimensions in options.values():
                yield from dimensions

    def assign(self, draw: Draw) -> tuple[str, ...]:
        """A trial's values, as `--set` takes them, in the order of the file."""
        chosen = list(self.dimensions)
        for name, options in self.alternatives.items():
            chosen += options[draw.label(name, list(options))]
        return tuple(as_override(each.field, draw.value(each)) for each in chosen)


def count_points(dimensions: Sequence[Dimension]) -> int | None:
    """How many combinations of values there are; None where they can not be counted."""
    sizes = [each.values.size for each in dimensions]
    return None if None in sizes else math.prod(size for size in sizes if size is not None)


@dataclass(frozen=True)
class Probe:
    """Draws the first of everything, except where told otherwise: finds out what a recipe takes."""

    labels: Mapping[str, str]
    deviation: tuple[Dimension, Any] | None = None

    def label(self, name: str, labels: Sequence[str]) -> str:
        return self.labels.get(name, labels[0])

    def value(self, dimension: Dimension) -> Any:
        if self.deviation is not None and self.deviation[0] == dimension:
            return self.deviation[1]
        return dimension.values.ends[0]


def check_space(space: SearchSpace, parse: Callable[[Sequence[str]], object], origin: str) -> None:
    """Tries every alternative and, one at a time, every choice and both ends of every range on the recipe, which
    `parse` reads with overrides. Raises InvalidRecipe naming the file and the field, before anything was trained."""

    def attempt(probe: Probe, what: str) -> None:
        try:
            parse(space.assign(probe))
        except InvalidRecipe as error:
            raise InvalidRecipe(
                f"{origin}: the recipe does not take {what}: {error}; fields that only fit together are best chosen "
                "as one table or in [alternatives]"
            ) from error

    attempt(Probe({}), "the first value of every field")
    for dimension in space.dimensions:
        for value in dimension.values.ends[1:]:
            attempt(Probe({}, (dimension, value)), as_override(dimension.field, value))
    for name, options in space.alternatives.items():
        for label, dimensions in options.items():
            attempt(Probe({name: label}), f"alternatives.{name}.{label}")
            for dimension in dimensions:
                for value in dimension.values.ends[1:]:
                    what = f"{as_override(dimension.field, value)} of alternatives.{name}.{label}"
                    attempt(Probe({name: label}, (dimension, value)), what)
