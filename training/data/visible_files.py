"""Files that somebody put into a folder on purpose: hidden ones are those of notebooks and file systems."""

from __future__ import annotations

from pathlib import Path


def find_visible(folder: Path, pattern: str) -> list[Path]:
    """What a pattern (as in `Path.glob`) finds in a folder, in the order of the paths, less all that is hidden."""
    return sorted(
        path
        for path in folder.glob(pattern)
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
