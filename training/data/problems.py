"""What is wrong with somebody's data, collected, so that all of it can be put right at once."""

from __future__ import annotations

from pathlib import Path

from tasks.errors import BadInput

SHOWN = 20


class Problems:
    """Complaints with their places. A reader adds what it finds, leaves out what is broken, and goes on."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, path: Path, complaint: object, record: int | str = "") -> None:
        """`record`: the line, or the place inside a file that has no lines to speak of, as in "annotations[12]"."""
        place = f"{path}:{record}" if record != "" else str(path)
        self._lines.append(f"{place}: {complaint}")

    def raise_any(self, source: str) -> None:
        """Raises BadInput with the first problems and the number of all, where there is one."""
        if not self._lines:
            return
        count = len(self._lines)
        problems = "1 problem" if count == 1 else f"{count} problems"
        first = f"; the first {SHOWN}" if count > SHOWN else ""
        shown = "\n  ".join(self._lines[:SHOWN])
        raise BadInput(f"the {source} data has {problems}{first}; repair or remove what they name:\n  {shown}")
