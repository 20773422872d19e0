"""The Served protocol: what host, metrics and descriptions need of a model, whatever kind it is."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from monitoring.monitor import Monitor
from registry.package import ModelPackage
from serving.drift_feed import DriftCounts
from serving.statistics import ModelStatistics


class Served(Protocol):
    """One version of one model, loaded and proved. Lives on one event loop."""

    name: str
    version: str
    variant: str
    statistics: ModelStatistics
    monitor: Monitor
    drift: DriftCounts
    num_in_flight: int
    """Requests accepted and not yet answered, streams included."""

    @property
    def package(self) -> ModelPackage | None:
        """None: another server runs it."""
        ...

    @property
    def num_waiting(self) -> int:
        """Of them, those that the runtime has not begun with; of a picture each counts."""
        ...

    @property
    def ailment(self) -> str:
        """Why it can not answer, as it seemed at the last look; empty when it can."""
        ...

    def stalled_s(self) -> float:
        """For how long the runtime has been at its current piece of work."""
        ...

    def lease(self) -> AbstractContextManager[None]:
        """While held, the version is not closed, even if a newer one has taken its place."""
        ...

    async def retire(self, timeout_s: float) -> None:
        """Wait until nobody uses this version any more, but not longer than `timeout_s`, then free what it holds."""
        ...
