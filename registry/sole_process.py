"""What one process at a time may do in a folder, where two would destroy each other's work and neither can wait."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from registry.file_locks import without_locks
from registry.lock import Locked


@contextmanager
def sole_process(file: Path, doing: str) -> Iterator[None]:
    """Holds a lock on `file` until this process is done or dead; on one folder of several machines too.

    Raises Locked, in words that begin with `doing`, where another process holds it; NotReady where its volume has no
    locks.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        try:
            # One that workers do not inherit: they may live a little longer than a process that was killed.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise Locked(f"{doing} in another process ({file} is locked); wait until it is done, or stop it") from None
        except OSError as error:
            raise without_locks(file, error) from error
        yield
