"""What feedback came to, as plain numbers of each model version. Written on the event loop, read by a scrape."""

from __future__ import annotations

from dataclasses import dataclass, field

from serving.feedback.verdict import Cell, Verdict
from serving.statistics import Histogram

OUTCOMES = ("joined", "attached", "unknown", "expired", "duplicate", "refused")
SHARE_BOUNDS = tuple(step / 10 for step in range(11))
MAX_VERSIONS = 16
"""Of one model. Those whose last feedback is longest ago go first."""


@dataclass
class FeedbackTally:
    """One model version."""

    counts: dict[Cell, float] = field(default_factory=dict)
    observed: dict[str, Histogram] = field(default_factory=dict)

    def add(self, verdict: Verdict) -> None:
        """Once for each feedback."""
        for cell, count in verdict.counts.items():
            self.counts[cell] = self.counts.get(cell, 0.0) + count
        for family, value in verdict.observed.items():
            if family not in self.observed:
                self.observed[family] = Histogram(SHARE_BOUNDS)
            self.observed[family].observe(value)


@dataclass
class FeedbackStatistics:
    """All models of a server."""

    tallies: dict[tuple[str, str], FeedbackTally] = field(default_factory=dict)
    """(model, version) → what was judged of it."""
    outcomes: dict[tuple[str, str], int] = field(default_factory=dict)
    """(model, outcome) → feedbacks that came."""
    remembered: dict[str, int] = field(default_factory=dict)
    """Model → answers that feedback can be joined to."""

    def came(self, model: str, outcome: str) -> None:
        """One feedback, by what became of it."""
        self.outcomes[model, outcome] = self.outcomes.get((model, outcome), 0) + 1

    def judged(self, model: str, version: str, verdict: Verdict) -> None:
        """Add it to the version's numbers."""
        tally = self.tallies.pop((model, version), None) or FeedbackTally()
        tally.add(verdict)
        self.tallies[model, version] = tally
        versions = [key for key in self.tallies if key[0] == model]
        for key in versions[:-MAX_VERSIONS]:
            del self.tallies[key]
