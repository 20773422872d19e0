"""How much the capture folder may hold and for how long: the oldest batches go first, whoever wrote them."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path

from monitoring.captured import DAY_FORMAT, TIME_FORMAT, Batch, is_day
from serving.capture.day_folder import DayFolder, in_blocks
from serving.capture.statistics import CaptureStatistics

SPARE = 64
"""Where there is no room, this part of the budget is made free as well: to list a folder takes longer than a file."""


class FolderBudget:
    """Looks at the whole folder now and then, and adds up what this process writes in between."""

    def __init__(self, root: Path, budget_bytes: int, retention: timedelta, statistics: CaptureStatistics) -> None:
        self._root, self._budget_bytes, self._retention, self._statistics = root, budget_bytes, retention, statistics
        self._days: dict[Path, DayFolder] = {}
        self._own: dict[Batch, int] = {}

    def survey(self, now: datetime, still_open: set[Batch]) -> None:
        """Look at everything; remove what is too old. Raises OSError for a folder that can not be read, or for a file
        that can not be removed, once all others are."""
        self._own = {batch: size for batch, size in self._own.items() if batch in still_open}
        paths = [path for path in self._root.glob("*/*") if is_day(path)]
        self._days = {path: self._days.get(path) or DayFolder(path) for path in paths}
        for day in self._days.values():
            day.look(now)
        try:
            self._forget(now, still_open)
        finally:
            self._tell()

    def _forget(self, now: datetime, still_open: set[Batch]) -> None:
        """Remove what is too old. Names sort by time, and are told apart faster than times."""
        before = now - self._retention
        limit = before.strftime(DAY_FORMAT), before.strftime(TIME_FORMAT)
        denied: list[OSError] = []
        for day in self._oldest_first():
            if day.path.name > limit[0]:
                break
            for batch, names in day.batches().items():
                if (batch.day, batch.stem) < limit and batch not in still_open:
                    denied += self._try_to_remove(day, names, now)
        if denied:
            raise denied[0]

    def make_room(self, num_bytes: int, now: datetime, still_open: set[Batch]) -> bool:
        """Whether so much can be written now; removes what it takes. Batches that are being gathered stay. Raises
        OSError where there is no room because of a file that can not be removed."""
        held, num_bytes = self._held(), in_blocks(num_bytes)
        excess = held + num_bytes - self._budget_bytes
        if excess <= 0:
            return True
        if held - sum(self._own.get(batch, 0) for batch in still_open) < excess:
            return False
        spare, denied = self._budget_bytes // SPARE, list[OSError]()
        for _, days in groupby(self._oldest_first(), key=lambda day: day.path.name):
            denied += self._clear(list(days), num_bytes + spare, now, still_open)
            if self._held() + num_bytes + spare <= self._budget_bytes:
                break
        self._tell()
        has_room = self._held() + num_bytes <= self._budget_bytes
        if denied and not has_room:
            raise denied[0]
        return has_room

    def _clear(self, days: list[DayFolder], num_bytes: int, now: datetime, still_open: set[Batch]) -> list[OSError]:
        """Of all models' folders of one day remove what it takes, and no more: others may have made room already.
        Returns why files could not be removed."""
        denied: list[OSError] = []
        for day in days:
            day.look(now)
        there = [(batch, names, day) for day in days for batch, names in day.batches().items()]
        for batch, names, day in sorted(there, key=lambda one: one[0].stem):
            if self._held() + num_bytes <= self._budget_bytes:
                break
            if batch not in still_open:
                denied += self._try_to_remove(day, names, now)
        return denied

    def wrote(self, batch: Batch, num_bytes: int) -> None:
        """This process added to a batch of its own."""
        path, num_bytes = batch.folder(self._root), in_blocks(num_bytes)
        self._days.setdefault(path, DayFolder(path)).num_bytes += num_bytes
        self._own[batch] = self._own.get(batch, 0) + num_bytes
        self._tell()

    def discard(self, batch: Batch, now: datetime) -> None:
        """Remove one of this process."""
        path = batch.folder(self._root)
        day = self._days.setdefault(path, DayFolder(path))
        self._remove(day, day.batches().get(batch, []), now)
        self._tell()

    def _try_to_remove(self, day: DayFolder, names: list[str], now: datetime) -> list[OSError]:
        """What can not be removed, for it is another user's, keeps nothing else from it. Returns the reason, if any."""
        try:
            self._remove(day, names, now)
        except OSError as error:
            return [error]
        return []

    def _remove(self, day: DayFolder, names: list[str], now: datetime) -> None:
        if names:
            day.remove(names, now)
            self._statistics.num_removed += 1

    def _oldest_first(self) -> list[DayFolder]:
        return sorted(self._days.values(), key=lambda day: day.path.name)

    def _held(self) -> int:
        return sum(day.num_bytes for day in self._days.values())

    def _tell(self) -> None:
        self._statistics.folder_bytes = self._held()
