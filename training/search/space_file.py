"""The TOML file behind a search: the space, how many trials, what they are judged by, and what makes them shorter.

trials = 20
objectives = ["score", "latency_ms"]

[trial]                                   set in every trial, not when the winner is made
schedule.epochs = 2

[space]                                   a list of choices, or a range
optimiser.learning_rate = { low = 1e-3, high = 5e-2, log = true }
model.options.widths = [[16, 32, 64], [24, 48, 96]]

[alternatives.optimiser.sgd]              one label of each name, with fields of its own
optimiser.name = ["sgd"]
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tasks.errors import InvalidRecipe
from tasks.unknown_field import explain
from training.recipe_file import RecipeFolder, convert_tables
from training.recipe_section import AtLeastOne, NonNegative, Section
from training.search.space import Choices, Dimension, Range, SearchSpace
from training.search.toml_text import as_override, toml_text

SCORE = "score"
"""How a file names what models are good at; in figures it goes by the name that their task has for it."""


class SpaceTables(Section, frozen=True, kw_only=True):
    """The file as it is written."""

    description: str = ""
    trials: AtLeastOne = 20
    objectives: tuple[str, ...] = ()
    max_score_loss: NonNegative = 0.0
    trial: dict[str, Any] = msgspec.field(default_factory=dict)
    space: dict[str, Any] = msgspec.field(default_factory=dict)
    alternatives: dict[str, dict[str, dict[str, Any]]] = msgspec.field(default_factory=dict)


class RangeTable(Section, frozen=True, kw_only=True):
    """A range as it is written."""

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None


class SearchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A search as its file wants it. `objectives` is empty where the file leaves them to the command."""

    space: SearchSpace
    num_trials: int
    objectives: tuple[str, ...]
    max_score_loss: float
    """What the winner may lose against the best score to be better in the other objectives, in units of the score."""
    trial_overrides: tuple[str, ...]
    """Set in every trial to make it shorter."""
    origin: str


def load_plan(folder: RecipeFolder, name_or_path: str | Path) -> SearchPlan:
    """A search by the name of one that comes with the project, or by path. Raises InvalidRecipe naming file and
    field."""
    facts, origin = folder.read(name_or_path, ())
    tables = convert_tables(facts, SpaceTables, origin)
    try:
        space = parse_space(tables)
        trial = tuple(as_override(field, value) for field, value in flatten(tables.trial).items())
    except (ValueError, TypeError) as error:
        raise InvalidRecipe(f"{origin}: {error}") from error
    return SearchPlan(
        space=space,
        num_trials=tables.trials,
        objectives=tables.objectives,
        max_score_loss=tables.max_score_loss,
        trial_overrides=trial,
        origin=origin,
    )


def check_objectives(plan: SearchPlan, known: Sequence[str]) -> None:
    """Raises InvalidRecipe for a figure that the command does not measure."""
    for name in plan.objectives:
        if name not in known:
            raise InvalidRecipe(f"{plan.origin}: objectives: {name!r} is none of {', '.join(known)}")


def parse_space(tables: SpaceTables) -> SearchSpace:
    """Raises ValueError naming the field."""
    dimensions = parse_dimensions(tables.space, "space")
    alternatives = {
        name: {
            label: parse_dimensions(table, f"alternatives.{name}.{label}", f"{name}={label}")
            for label, table in options.items()
        }
        for name, options in tables.alternatives.items()
    }
    if not dimensions and not alternatives:
        raise ValueError("there is nothing to search: name a field in [space] with its choices or its range")
    owners = {each.field: "[space]" for each in dimensions}
    for name, options in alternatives.items():
        if not options:
            raise ValueError(f"alternatives.{name} has no label: add [alternatives.{name}.LABEL]")
        for field in sorted({each.field for own in options.values() for each in own}):
            if field in owners:
                raise ValueError(f"{field} is in {owners[field]} and in [alternatives.{name}]: only one may set it")
            owners[field] = f"[alternatives.{name}]"
    return SearchSpace(dimensions, alternatives)


def parse_dimensions(table: Mapping[str, Any], place: str, within: str = "") -> tuple[Dimension, ...]:
    """Raises ValueError naming the field."""
    found = []
    for field, written in flatten(table).items():
        try:
            found.append(Dimension(field, parse_values(written), within))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{place}.{field}: {error}") from error
    return tuple(found)


def flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables → dotted names. A table that says `low` or `high` is a range, and stays one."""
    flat: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping) and not {"low", "high"} & value.keys():
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def parse_values(written: Any) -> Range | Choices:
    """Raises ValueError saying what was expected."""
    if isinstance(written, Mapping):
        return parse_range(written)
    if not isinstance(written, list) or not written:
        raise ValueError(f"expected a list of choices, or a range {{low = …, high = …}}, got {written!r}")
    texts = [toml_text(value) for value in written]
    if len(set(texts)) < len(texts):
        raise ValueError(f"the choices {', '.join(texts)} are not all different")
    return Choices(tuple(written))


def parse_range(written: Mapping[str, Any]) -> Range:
    """Raises ValueError saying what was expected."""
    try:
        table = msgspec.convert(written, RangeTable)
    except msgspec.ValidationError as error:
        raise ValueError(explain(error, written, RangeTable)) from error
    if not table.low < table.high < math.inf:
        raise ValueError(f"low must be below high, and both finite, got {table.low} and {table.high}")
    if table.log and table.low <= 0:
        raise ValueError(f"a logarithmic range must begin above 0, got {table.low}")
    if table.step is not None and (table.log or table.step <= 0):
        raise ValueError("step must be above 0, and goes with no log")
    return Range(table.low, table.high, table.log, table.step)
