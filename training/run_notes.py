"""What a training notes beside its checkpoints: which run they belong to while it lasts, and what came of it.

A note is there whole or not at all, and the first goes when the second is there: so a kill at any moment leaves a run
that can be resumed or begun anew, and none that ended is lost.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

STATE_FILE, RESULT_FILE = "run.json", "result.json"


def write_whole(path: Path, content: bytes) -> None:
    """In one step."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def clear_away(folder: Path) -> None:
    """Leaves of a run that ended nothing but its result: the rest would be a second copy of what was registered."""
    (folder / STATE_FILE).unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != RESULT_FILE:
            path.unlink()
