"""The live side: a bounded sliding window of binned pictures, judged against the reference.

How often to cry wolf is configured in false alarms per day. A verdict is reached at most once in `check_interval_s`,
however often somebody asks, so a day holds 86,400 / check_interval_s verdicts, and each may be falsely "drift" with
probability alpha = false_alarms_per_day · check_interval_s / 86,400. Expected false verdicts a day then stay below
what was configured whether or not successive windows overlap (they do, so false verdicts come in runs: fewer alarms).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Annotated

import msgspec

from monitoring.drift import BinCounts, DriftReport, report_drift
from monitoring.profile import BinWeights, Profile
from monitoring.window import Window
from tasks.errors import InvalidRecipe
from tasks.task import Observation

SECONDS_PER_DAY = 86_400.0
MAX_ALPHA = 0.5


class MonitorConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`window_size`: pictures remembered; below `min_window` of them nothing is judged. See the module on the rest."""

    window_size: Annotated[int, msgspec.Meta(ge=1)] = 300
    min_window: Annotated[int, msgspec.Meta(ge=1)] = 100
    false_alarms_per_day: Annotated[float, msgspec.Meta(gt=0)] = 0.1
    check_interval_s: Annotated[float, msgspec.Meta(gt=0)] = 10.0

    def __post_init__(self) -> None:
        if not 1 <= self.min_window <= self.window_size:
            raise InvalidRecipe(
                f"monitoring: min_window must lie between 1 and window_size ({self.window_size}), got {self.min_window}"
            )
        if not (self.false_alarms_per_day > 0 and self.check_interval_s > 0):
            raise InvalidRecipe("monitoring: false_alarms_per_day and check_interval_s must be above zero")

    @property
    def alpha(self) -> float:
        """Probability that one verdict is a false "drift"."""
        return min(MAX_ALPHA, self.false_alarms_per_day * self.check_interval_s / SECONDS_PER_DAY)


class Monitor:
    """Watches one variant. One thread may observe while another asks for reports; a lock keeps them apart for
    microseconds."""

    def __init__(
        self, profile: Profile, config: MonitorConfig | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.profile = profile
        self.config = config or MonitorConfig()
        self._clock = clock
        self._lock = Lock()
        self._window = Window(profile, self.config.window_size)
        self._verdict: DriftReport | None = None
        self._verdict_at = 0.0

    def observe(self, observations: Mapping[str, Observation]) -> dict[str, BinWeights]:
        """Add one picture; the oldest leaves when the window is full. Returns its weight per bin, by signal that it
        has, for the counters (read-only arrays, "other" last)."""
        picture = self.profile.bin(observations)
        with self._lock:
            self._window.add(picture)
        return picture

    def counts(self) -> dict[str, BinCounts]:
        """A copy of the window's counts, to be added to those of other replicas."""
        with self._lock:
            return self._window.counts()

    def report(self) -> DriftReport:
        """The verdict on the window: the last one again, until `check_interval_s` has passed."""
        now = self._clock()
        with self._lock:
            if self._verdict is not None and now - self._verdict_at < self.config.check_interval_s:
                return self._verdict
            window, counts = self._window, self._window.counts()
        verdict = report_drift(self.profile, counts, alpha=self.config.alpha, min_images=self.config.min_window)
        with self._lock:
            if verdict.status != "collecting" and window is self._window:
                self._verdict, self._verdict_at = verdict, now
        return verdict

    def reset(self) -> None:
        """Forget every picture and the last verdict, as after a change of traffic that is meant to be."""
        with self._lock:
            self._window = Window(self.profile, self.config.window_size)
            self._verdict = None
