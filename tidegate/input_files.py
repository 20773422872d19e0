"""The files that `tidegate predict` is to answer."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import NotFound


@dataclass(frozen=True)
class InputFile:
    """One file to answer, and its name in the answers: relative to the folder that was asked for."""

    path: Path
    name: str


def find_inputs(path: Path) -> list[InputFile]:
    """A file as it is; of a folder every file in it that is not hidden, in order. Raises NotFound for neither."""
    if path.is_file():
        return [InputFile(path, printable(path.name))]
    if not path.is_dir():
        raise NotFound(f"{path} is neither a file nor a folder")
    found = (file for file in sorted(path.rglob("*")) if file.is_file())
    relative = ((file, file.relative_to(path)) for file in found)
    return [
        InputFile(file, printable(name.as_posix()))
        for file, name in relative
        if not any(part.startswith(".") for part in name.parts)
    ]


def printable(name: str) -> str:
    """A file name may hold bytes that are no text; JSON may not."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
