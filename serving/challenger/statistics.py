"""What became of challengers, as plain numbers: written by the event loop alone, read by a scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from serving.statistics import Histogram, stage

AGREEMENT_BOUNDS = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
"""What lies above the last one is full agreement."""
SHADOW_OUTCOMES = ("compared", "dropped", "failed", "incomparable")
CANARY_OUTCOMES = ("answered", "unavailable", "failed", "expired")
MAX_KNOWN = 4
"""Challengers of one model that are remembered."""
Key = TypeVar("Key", bound=tuple[str, ...])
Value = TypeVar("Value")


@dataclass
class PairStatistics:
    """Of one version beside another: copies by what became of them, and the same requests as both answered them."""

    agreement: Histogram = field(default_factory=lambda: Histogram(AGREEMENT_BOUNDS))
    champion_seconds: Histogram = field(default_factory=stage)
    challenger_seconds: Histogram = field(default_factory=stage)
    outcomes: dict[str, int] = field(default_factory=dict)

    def count(self, outcome: str, num_items: int) -> None:
        """Pictures or prompts by one of SHADOW_OUTCOMES. failed: the challenger could not answer what the champion did.
        incomparable: two answers would say nothing about the versions."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + num_items


@dataclass
class CanaryStatistics:
    """Of one challenger: requests that were meant for it, by what became of them."""

    outcomes: dict[str, int] = field(default_factory=dict)
    last_failure: str = ""
    """What kept it from answering, the last time that something did."""

    def count(self, outcome: str) -> None:
        """By one of CANARY_OUTCOMES. unavailable, failed: the champion answered, for the challenger was not there, or
        could not. expired: nobody did, in the time that the caller gave. What both refuse is none of them."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1


@dataclass
class ChallengerStatistics:
    """Of all models of a server."""

    pairs: dict[tuple[str, str, str], PairStatistics] = field(default_factory=dict)
    """(model, champion's version, challenger's version)."""
    canaries: dict[tuple[str, str], CanaryStatistics] = field(default_factory=dict)
    """(model, challenger's version)."""
    states: Callable[[], Iterable[tuple[str, str, bool]]] = tuple
    """(model, version, whether it answers) of every challenger that there is; set by whoever follows them."""
    load_failures: dict[str, int] = field(default_factory=dict)

    def pair(self, model: str, champion: str, challenger: str) -> PairStatistics:
        """The same ones again if the two have met before."""
        key = model, champion, challenger
        if key not in self.pairs:
            self.pairs[key] = PairStatistics()
            forget_oldest(self.pairs, model)
        return self.pairs[key]

    def canary(self, model: str, challenger: str) -> CanaryStatistics:
        """The same ones again if it was one before."""
        key = model, challenger
        if key not in self.canaries:
            self.canaries[key] = CanaryStatistics()
            forget_oldest(self.canaries, model)
        return self.canaries[key]

    def load_failed(self, model: str) -> None:
        """A version that is called challenger could not be loaded."""
        self.load_failures[model] = self.load_failures.get(model, 0) + 1


def forget_oldest(known: dict[Key, Value], model: str) -> None:
    """Labels of versions must not grow for as long as the server runs."""
    for key in [key for key in known if key[0] == model][:-MAX_KNOWN]:
        del known[key]
