"""A trial while it runs: what it tries, drawn by the sampler, and how it asks whether to go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import optuna

from training.search.space import Dimension, Range
from training.search.toml_text import toml_text
from training.search.trial import Hopeless, Result


class Attempt:
    """A trial while it runs. `overrides`: what it changes in the recipe, as `--set` takes it."""

    def __init__(self, trial: optuna.Trial, overrides: tuple[str, ...], prunes: bool) -> None:
        self._trial, self._prunes = trial, prunes
        self.number: int = trial.number
        self.overrides = overrides

    def report(self, step: int, score: float) -> None:
        """How good it is after so many steps. Raises Hopeless when it should be given up; that never happens where
        there are several objectives."""
        if not self._prunes:
            return
        self._trial.report(score, step)
        if self._trial.should_prune():
            raise Hopeless(f"worse than the median after {step} epochs")


Measure = Callable[[Attempt], Result]


@dataclass(frozen=True)
class SuggestedDraw:
    """Lets the sampler decide, see Draw. A choice is known to the database by its text in TOML."""

    trial: optuna.Trial

    def label(self, name: str, labels: Sequence[str]) -> str:
        chosen: str = self.trial.suggest_categorical(name, labels)
        return chosen

    def value(self, dimension: Dimension) -> Any:
        values, name = dimension.values, dimension.name
        if not isinstance(values, Range):
            by_text = {toml_text(value): value for value in values.values}
            return by_text[self.trial.suggest_categorical(name, list(by_text))]
        if values.whole:
            return self.trial.suggest_int(name, values.low, values.high, step=values.step or 1, log=values.log)
        return self.trial.suggest_float(name, values.low, values.high, step=values.step, log=values.log)
