"""What is left of an export that missed its gates: what the variants forgot, where a person finds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from registry.tracking import HOME
from tasks.errors import GateFailed

FOLDER = HOME / "failed-exports"


@contextmanager
def keep_forgotten() -> Iterator[None]:
    """Writes the sheets of a failure into a folder of its own, and lets the error name it."""
    try:
        yield
    except GateFailed as failure:
        from export.tolerance_missed import ToleranceMissed, write_sheets

        if not isinstance(failure, ToleranceMissed):
            raise
        folder = FOLDER / f"{failure.model}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        write_sheets(folder, failure.sheets)
        raise GateFailed(f"{failure}\n\nwhat each variant forgot: {sheet_list(folder)}") from failure


def sheet_list(folder: Path) -> str:
    """The sheets of a package or of a failed export that a person would open, or the folder itself."""
    sheets = sorted(path for path in folder.glob("*/forgotten.*") if path.suffix != ".json")
    return ", ".join(map(str, sheets)) or f"{folder}/ (no answer changed)"
