"""Trials of a search that were never run, an ear for those that were, and a rush on their database."""

from __future__ import annotations

import threading

from training.search.storage import open_storage
from training.search.trial import State, Trial


def ended_trial(
    number: int, state: State = "measured", overrides: tuple[str, ...] = (), reason: str = "", **figures: float
) -> Trial:
    """A trial with these figures."""
    return Trial(number=number, overrides=overrides, state=state, figures=figures, reason=reason)


def ignore(trial: Trial) -> None:
    """Who does not want to hear of trials."""


def open_at_once(url: str, times: int) -> list[Exception]:
    """What went wrong where as many open the database of a search at the same moment."""
    together, failures = threading.Barrier(times), list[Exception]()

    def one() -> None:
        together.wait(timeout=30)
        try:
            open_storage(url).engine.dispose()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    return failures
