"""How a search decides what to try next."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

ENOUGH_FOR_GENERATIONS = 100
"""An evolutionary search (NSGA-II) with its generations of 50 is of use from here on; below, a model of what was seen
(TPE, the tree-structured Parzen estimator of Bergstra et al., 2011) finds more with less."""
MAX_SEED = 2**32


def choose_sampler(num_trials: int, num_objectives: int, seed: int) -> BaseSampler:
    """What fits the number of trials and objectives."""

    def build(own_seed: int) -> BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            if num_objectives > 1 and num_trials >= ENOUGH_FOR_GENERATIONS:
                return optuna.samplers.NSGAIISampler(seed=own_seed)
            return optuna.samplers.TPESampler(seed=own_seed, multivariate=True, group=True)

    return NumberedSampler(build, seed)


class NumberedSampler(BaseSampler):  # type: ignore[misc]
    """Draws for a trial by its number and by the trials that ended before it, and by nothing else: a search that was
    interrupted goes on as it would have, and machines that take part in one do not all draw the same."""

    def __init__(self, build: Callable[[int], BaseSampler], seed: int) -> None:
        self._build, self._seed = build, seed
        self._current = build(seed)

    def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        self._current = self._build((self._seed * 100_003 + trial.number) % MAX_SEED)
        self._current.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, optuna.distributions.BaseDistribution]:
        found: dict[str, optuna.distributions.BaseDistribution] = self._current.infer_relative_search_space(
            study, trial
        )
        return found

    def sample_relative(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        search_space: dict[str, optuna.distributions.BaseDistribution],
    ) -> dict[str, Any]:
        drawn: dict[str, Any] = self._current.sample_relative(study, trial, search_space)
        return drawn

    def sample_independent(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        param_name: str,
        param_distribution: optuna.distributions.BaseDistribution,
    ) -> Any:
        return self._current.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        state: optuna.trial.TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._current.after_trial(study, trial, state, values)
