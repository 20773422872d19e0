"""A version's folder in a model repository: it appears whole or not at all, and never changes once it is there.

Triton may watch the repository while it is written (--model-control-mode=poll), and several machines may read it.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from registry.package import sha256_of
from tasks.errors import Conflict


@contextmanager
def sole_writer(repository: Path) -> Iterator[None]:
    """Others who write models wait: what one adds to a configuration another would leave out. The lock is on the folder
    itself, for a file would be a change to a Triton that watches."""
    repository.mkdir(parents=True, exist_ok=True)
    folder = os.open(repository, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@contextmanager
def incoming_version(folder: Path) -> Iterator[Path]:
    """An empty folder to write a version into. At the end it becomes `folder`, or that gets what it lacks.

    Raises Conflict where a file is there with another content."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Triton passes over folders in a model's folder whose names are no numbers.
        with tempfile.TemporaryDirectory(prefix=".incoming-", dir=folder.parent) as made:
            written = Path(made) / folder.name
            written.mkdir()
            yield written
            move_in(written, folder)
    except BaseException:
        with suppress(OSError):  # it holds other versions
            folder.parent.rmdir()
        raise


def move_in(written: Path, folder: Path) -> None:
    if not folder.exists():
        written.rename(folder)
        return
    missing = []
    for file in sorted(written.iterdir()):
        there = folder / file.name
        if not there.exists():
            missing.append(file)
        elif sha256_of(there) != sha256_of(file):
            raise Conflict(
                f"{there} is there and is another; versions do not change: export into another folder, or remove "
                f"{folder}"
            )
    for file in missing:
        file.rename(folder / file.name)


def replace_text(path: Path, text: str) -> None:
    """In one step, for whoever reads the file meanwhile."""
    incoming = path.with_name(f".{path.name}.incoming")
    incoming.write_text(text, "utf-8")
    os.replace(incoming, path)
