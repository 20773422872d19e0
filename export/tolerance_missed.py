"""The error of an export whose variants lost too much, with what they forgot: of a failure that is all that is left."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from registry.manifest import Evidence
from tasks.errors import GateFailed


class ToleranceMissed(GateFailed):
    """`model`: its name; `sheets`: path in the package that was not made → content, see `write_sheets`."""

    def __init__(self, model: str, message: str, sheets: Mapping[str, bytes]) -> None:
        super().__init__(message)
        self.model, self.sheets = model, sheets


def require_passed(name: str, evidence: Mapping[str, Evidence], tables: str, sheets: Mapping[str, bytes]) -> None:
    """Raises ToleranceMissed with the tables unless every variant passed every gate."""
    missed = [variant for variant, each in evidence.items() if not each.passed]
    if missed:
        reason = (
            f"{name}: the export is outside the recipe's tolerances. Ask less of {', '.join(missed)} (a milder option, "
            "more epochs to learn on), or allow it more; --set changes both"
        )
        raise ToleranceMissed(name, f"{reason}\n\n{tables}", sheets)


def write_sheets(folder: Path, sheets: Mapping[str, bytes]) -> None:
    """Into the folder of a package, or of a failed export."""
    for name, content in sheets.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
