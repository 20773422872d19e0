"""A new database that many processes come to at once: its tables are made by one of them, and the others wait."""

from __future__ import annotations

import fcntl
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

MAX_COLLISIONS = 20
"""Of processes that all make the tables of one server's database, each failure of one means that another came on."""


@contextmanager
def alone_with(file: Path) -> Iterator[None]:
    """Keeps other processes from doing something with a database's file at the same time, until this one is done or
    dead. Raises OSError where its folder can not be written."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_name(f"{file.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def among_others(connect: Callable[[], Result]) -> Result:
    """What `connect` gives, which makes the tables of a server's database where they are missing, and is tried again
    where somebody else makes the same ones. Raises what `connect` raises."""
    from alembic.util import CommandError
    from sqlalchemy.exc import IntegrityError, InternalError, ProgrammingError

    for _ in range(MAX_COLLISIONS):
        try:
            return connect()
        except (IntegrityError, InternalError, ProgrammingError, CommandError):
            # What servers, and migrations, say of what has just been made by another.
            time.sleep(random.uniform(0.05, 0.2))
    return connect()
