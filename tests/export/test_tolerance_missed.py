"""A failed export leaves its sheets, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.tolerance_missed import ToleranceMissed, require_passed, write_sheets
from registry.manifest import Evidence, GateResult
from tasks.errors import GateFailed


def evidence(passed: bool) -> Evidence:
    gate = GateResult(name="class_drop", value=0.5, limit=0.1, passed=passed)
    return Evidence(
        metric="accuracy", num_examples=1, metrics={}, per_class=(), latency_ms={}, num_bytes=1, gates=(gate,)
    )


def test_sheets_travel_with_the_error(tmp_path: Path) -> None:
    sheets = {"int8/forgotten.json": b"{}", "int8/forgotten.png": b"picture"}
    with pytest.raises(GateFailed, match="digits: the export is outside") as failure:
        require_passed("digits", {"int8": evidence(False), "fp32": evidence(True)}, "the table", sheets)
    assert "the table" in str(failure.value)
    assert "Ask less of int8 (" in str(failure.value)
    assert isinstance(failure.value, ToleranceMissed)
    write_sheets(tmp_path, failure.value.sheets)
    assert (tmp_path / "int8" / "forgotten.png").read_bytes() == b"picture"


def test_nothing_is_raised_where_all_passed() -> None:
    require_passed("digits", {"int8": evidence(True)}, "", {})
