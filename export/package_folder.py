"""The folder that a package grows in: a new one, that goes again with everything in it where the export fails."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import Conflict


@contextmanager
def new_package_folder(output: Path) -> Iterator[Path]:
    """Makes `output`; whatever is raised inside, nothing of it is left behind. Raises Conflict if it is not empty."""
    if output.exists() and any(output.iterdir()):
        raise Conflict(f"{output} is not empty: a package is written into a new folder, never over another")
    output.mkdir(parents=True, exist_ok=True)
    try:
        yield output
    except BaseException:
        shutil.rmtree(output, ignore_errors=True)
        raise
