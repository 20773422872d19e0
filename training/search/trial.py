"""One trial of a search: what it tried, what was measured, and how it ended."""

from __future__ import annotations

from typing import Literal

import msgspec

Direction = Literal["max", "min"]
State = Literal["measured", "missed", "pruned", "failed"]
"""`missed`: it was measured, and a gate did not hold. `pruned`: given up, because it was worse than most others after
as many epochs. `failed`: an error came instead of figures."""


class Objective(msgspec.Struct, frozen=True):
    """A figure that a search makes better. `name`: as in the figures of a trial."""

    name: str
    direction: Direction


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial measured. `missed`: the gates that did not hold, in words. `run_id`: where MLflow has more of it."""

    figures: dict[str, float]
    missed: tuple[str, ...] = ()
    run_id: str = ""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A trial that has ended. `overrides`: what it changed in the recipe, as `--set` takes it. `reason`: why it missed,
    was pruned or failed."""

    number: int
    overrides: tuple[str, ...]
    state: State
    figures: dict[str, float] = {}
    reason: str = ""
    run_id: str = ""


class Hopeless(Exception):
    """A trial is given up: raised while it runs, by the study that judges it."""
