"""How much the capture folder may hold and for how long: the oldest batches go first, whoever wrote them."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from monitoring.captured import DAY_FORMAT, ROWS_SUFFIX, Batch, batch_of, is_unfinished
from serving.capture.statistics import CaptureStatistics

STALE = timedelta(hours=1)
"""A file that has been unfinished for so long belongs to a server that was killed."""


class FolderBudget:
    """Looks at the whole folder now and then, and adds up what this process writes in between."""

    def __init__(self, root: Path, budget_bytes: int, retention: timedelta, statistics: CaptureStatistics) -> None:
        self._root, self._budget_bytes, self._retention, self._statistics = root, budget_bytes, retention, statistics
        self._sizes: dict[Batch, int] = {}

    def survey(self, now: datetime, still_open: set[Batch]) -> None:
        """Look at everything; remove what is too old. Raises OSError for a folder that can not be read."""
        sizes: defaultdict[Batch, int] = defaultdict(int)
        for path in self._root.glob("*/*/*"):
            batch = batch_of(path)
            if batch.opened_at is None:
                continue
            if is_unfinished(path) and now - batch.opened_at > STALE and batch not in still_open:
                path.unlink(missing_ok=True)
            else:
                sizes[batch] += size_of(path)
        self._sizes = dict(sizes)
        for batch in list(sizes):
            opened_at = batch.opened_at
            if opened_at is not None and now - opened_at > self._retention and batch not in still_open:
                self.remove(batch)
        self._tell()

    def make_room(self, num_bytes: int, still_open: set[Batch]) -> bool:
        """Whether so much can be written now; removes what it takes. Batches that are being gathered stay."""
        excess = sum(self._sizes.values()) + num_bytes - self._budget_bytes
        if excess > 0:
            oldest = sorted((one for one in self._sizes if one not in still_open), key=lambda one: (one.day, one.stem))
            if sum(self._sizes[one] for one in oldest) < excess:
                return False
            for batch in oldest:
                if excess <= 0:
                    break
                excess -= self._sizes[batch]
                self.remove(batch)
        return True

    def wrote(self, batch: Batch, num_bytes: int) -> None:
        """This process added to a batch of its own."""
        self._sizes[batch] = self._sizes.get(batch, 0) + num_bytes
        self._tell()

    def remove(self, batch: Batch) -> None:
        """Its rows first, so that none is left without its picture, and the folder of a day that is over."""
        folder = batch.folder(self._root)
        files = sorted(folder.glob(f"*{batch.stem}.*"), key=lambda path: not path.name.endswith(ROWS_SUFFIX))
        for path in files:
            path.unlink(missing_ok=True)
        self._sizes.pop(batch, None)
        self._statistics.num_removed += 1
        if batch.day < datetime.now(UTC).strftime(DAY_FORMAT):
            # Not empty, or gone: both may be another server's doing.
            with suppress(OSError):
                folder.rmdir()
        self._tell()

    def _tell(self) -> None:
        self._statistics.folder_bytes = sum(self._sizes.values())


def size_of(path: Path) -> int:
    """0 for a file that is gone since it was listed."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
