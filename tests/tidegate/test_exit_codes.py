"""Exit codes: one for every kind of error, each explained."""

from __future__ import annotations

import re
from pathlib import Path

from tasks.errors import ErrorKind
from tidegate.exit_codes import EXIT_CODES, MEANINGS, exit_code_table

QUICK_START = Path(__file__).parents[2] / "docs" / "quick-start.md"


def test_every_kind_of_error_has_a_code_of_its_own_meaning() -> None:
    assert set(EXIT_CODES) == set(ErrorKind)
    assert set(EXIT_CODES.values()) <= set(MEANINGS)
    assert not set(EXIT_CODES.values()) & {0, 1, 2, 130}


def test_help_and_docs_tell_the_same_codes() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", QUICK_START.read_text(encoding="utf-8"), re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == dict(MEANINGS)
    for code, meaning in MEANINGS.items():
        assert f"{code:>5}  {meaning}" in exit_code_table()
