"""Values of TOML as text: what a search draws becomes what `--set` takes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def as_override(field: str, value: Any) -> str:
    """`section.field=value`."""
    return f"{field}={toml_text(value)}"


def toml_text(value: Any) -> str:
    """A string, number, boolean, list or table on one line of TOML. Raises TypeError for anything else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key(name)} = {toml_text(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_text, value)) + "]"
    raise TypeError(f"{value!r} is neither string, number, boolean, list nor table")


def key(name: str) -> str:
    """Of a table: bare where it may be."""
    return name if BARE_KEY.fullmatch(name) else quote(name)


def quote(text: str) -> str:
    """A basic string. JSON writes the same, but for one control character that it leaves as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
