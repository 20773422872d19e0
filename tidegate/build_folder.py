"""A folder in which a package is built: it goes with its owner, and where that was killed, with the next one's coming.

Whoever builds holds a lock on a file of its folder, which the operating system gives back when the process ends,
however it ends, and whichever container or machine it ran in. So a folder whose lock can be had belongs to nobody.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from registry.tracking import HOME
from tidegate.failed_exports import keep_forgotten

PREFIX, OWNER, GATE = "build-", "owner.lock", "builds.lock"


@contextmanager
def build_folder() -> Iterator[Path]:
    """A folder of its own on the disk of the store; nothing half-built is left behind, but of an export that fails what
    its variants forgot."""
    HOME.mkdir(exist_ok=True)
    # A folder that has come to be and is not locked yet would look like one that belongs to nobody.
    with (HOME / GATE).open("w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        remove_abandoned()
        scratch = tempfile.TemporaryDirectory(prefix=PREFIX, dir=HOME)
        owner = (Path(scratch.name) / OWNER).open("w")
        fcntl.flock(owner, fcntl.LOCK_EX)
    with owner, scratch as folder, keep_forgotten():
        yield Path(folder)


def remove_abandoned() -> None:
    """Those whose owner was killed. A folder without a lock says nothing of its owner, and stays."""
    for path in HOME.glob(f"{PREFIX}*/{OWNER}"):
        # It is locked, or its owner may be done with it at this very moment, or it is another user's.
        with suppress(OSError), path.open("r+") as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.parent, ignore_errors=True)
