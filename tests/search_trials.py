"""Trials of a search that were never run, and an ear for those that were."""

from __future__ import annotations

from training.search.trial import State, Trial


def ended_trial(
    number: int, state: State = "measured", overrides: tuple[str, ...] = (), reason: str = "", **figures: float
) -> Trial:
    """A trial with these figures."""
    return Trial(number=number, overrides=overrides, state=state, figures=figures, reason=reason)


def ignore(trial: Trial) -> None:
    """Who does not want to hear of trials."""
