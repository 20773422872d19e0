"""One model's captured requests of one day, as files: what they take, and how batches of them are removed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from monitoring.captured import DAY_FORMAT, ROWS_SUFFIX, Batch, batches_in, is_unfinished

STALE = timedelta(hours=1)
"""A file that has been unfinished for so long belongs to a server that was killed."""
SETTLED = timedelta(minutes=5)
"""A folder in which nothing came or went for so long: another change would show in its time, whatever clocks say."""
BLOCK_BYTES = 4096
"""What a disk gives a file at a time: a volume of small ones is full long before their lengths add up to it."""


@dataclass
class DayFolder:
    """Remembers sums and no files, of which there may be millions, and counts again only where some came or went.
    Other servers write and remove here as well. Raises OSError for a folder that can not be read."""

    path: Path
    num_bytes: int = 0
    """When it was last looked at, and what this process wrote and removed since."""
    _counted_of: float | None = None
    """The folder's time when it was counted; None where it has to be counted again."""

    def look(self, now: datetime) -> None:
        """Ask the disk, and clear away what killed servers left."""
        try:
            changed_at = self.path.stat().st_mtime
        except FileNotFoundError:
            self.num_bytes = 0
            return
        if changed_at == self._counted_of:
            return
        is_final = now.timestamp() - changed_at > SETTLED.total_seconds()
        found = batches_in(self.path)
        self.num_bytes = 0
        if is_final and not found:
            # Another server emptied it and could not remove it: perhaps its day was not over. Then look again.
            self._leave(now)
            is_final = False
        for batch, names in found.items():
            for file in map(self.path.joinpath, names):
                is_final = is_final and not is_unfinished(file)
                if is_unfinished(file) and now - batch.opened_at > STALE:
                    # Of another user: what can not be removed counts.
                    with suppress(OSError):
                        file.unlink()
                self.num_bytes += size_of(file)
        self._counted_of = changed_at if is_final else None

    def remove(self, names: list[str], now: datetime) -> None:
        """The files of a batch, its rows first, so that none is left without its picture; and the folder of a day that
        is over. Raises OSError for a file that can not be removed, another user's for one: it counts as before."""
        self._counted_of = None
        for file in map(self.path.joinpath, sorted(names, key=lambda name: not name.endswith(ROWS_SUFFIX))):
            num_bytes = size_of(file)
            file.unlink(missing_ok=True)
            self.num_bytes = max(self.num_bytes - num_bytes, 0)
        self._leave(now)

    def _leave(self, now: datetime) -> None:
        """Remove the folder of a day that is over if it is empty."""
        if self.path.name < now.strftime(DAY_FORMAT):
            # Not empty, or gone: both may be another server's doing.
            with suppress(OSError):
                self.path.rmdir()

    def batches(self) -> dict[Batch, list[str]]:
        """What is there, oldest first, with the names of its files."""
        return batches_in(self.path)


def size_of(path: Path) -> int:
    """Bytes on the disk; 0 for a file that is gone since it was listed."""
    try:
        return in_blocks(path.stat().st_size)
    except FileNotFoundError:
        return 0


def in_blocks(num_bytes: int) -> int:
    """Bytes that a file of this length takes on a disk."""
    return -(-num_bytes // BLOCK_BYTES) * BLOCK_BYTES
