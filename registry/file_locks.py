"""What there is to say of a volume without file locks: some that machines share have none."""

from __future__ import annotations

from pathlib import Path

from tasks.errors import NotReady


def without_locks(file: Path, error: OSError) -> NotReady:
    """To be raised where `file` can not be locked, for another reason than that somebody else holds it."""
    return NotReady(
        f"{file} can not be locked ({error.strerror}): this volume has no file locks, without which two processes "
        f"would destroy each other's work; keep {file.parent} on a local volume, or on one that has them"
    )
