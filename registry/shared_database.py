"""A new database that many processes come to at once: its tables are made by one of them, and the others wait."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from registry.file_locks import without_locks

Result = TypeVar("Result")

MAX_COLLISIONS = 20
"""Of processes that all make the tables of one server's database, each failure of one means that another came on."""
COLLISION = re.compile("already exists|already an object|duplicate|concurrent|deadlock", re.IGNORECASE)
"""What PostgreSQL, MySQL and SQL Server say, in English, of what has just been made, or is made, by another."""


@contextmanager
def alone_with(file: Path) -> Iterator[None]:
    """Keeps other processes from doing something with a database's file at the same time, under whichever of its names
    they know it, until this one is done or dead. A file that is there, whose lock is closed to this user, is used
    without it. Raises OSError where there is none and its folder can not be written; NotReady where its volume has no
    locks; ValueError for no name."""
    if not file.name:
        raise ValueError("a database needs the name of a file")
    file = file.resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    held: int | None = None
    try:
        held = hold(file.with_name(f"{file.name}.lock"))
    except OSError:
        if not file.exists():
            raise
    try:
        yield
    finally:
        if held is not None:
            os.close(held)


def hold(lock: Path) -> int:
    """Waits for it. Returns the open file; it is free again when that is closed."""
    try:
        opened = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        if not lock.exists():
            raise
        # Another user's, or in a folder that is only read.
        opened = os.open(lock, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
    except OSError as error:
        os.close(opened)
        # NFS locks for nobody who may only read.
        if error.errno == errno.EBADF:
            raise
        raise without_locks(lock, error) from error
    return opened


def among_others(connect: Callable[[], Result]) -> Result:
    """What `connect` gives, which makes the tables of a server's database where they are missing, and is tried again
    where somebody else makes the same ones. Raises what `connect` raises."""
    from alembic.util import CommandError
    from sqlalchemy.exc import IntegrityError, InternalError, OperationalError, ProgrammingError

    before = ""
    for _ in range(MAX_COLLISIONS):
        try:
            return connect()
        except (IntegrityError, InternalError, OperationalError, ProgrammingError, CommandError) as error:
            said = str(getattr(error, "orig", error))
            # Migrations have other words for a collision, and servers other languages. A refusal repeats itself.
            if not COLLISION.search(said) and (isinstance(error, OperationalError) or said == before):
                raise
            before = said
            time.sleep(random.uniform(0.05, 0.2))
    return connect()
