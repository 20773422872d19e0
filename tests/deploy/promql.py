"""What an expression of PromQL asks for: names of series, the labels it selects, groups and matches by."""

from __future__ import annotations

import re
from typing import NamedTuple

SELECTOR = re.compile(r"\b((?:tidegate[:_]|process_|up\b|ALERTS\b)[a-zA-Z0-9_:]*)(?:\{([^}]*)\})?")
MATCHER = re.compile(r"(\w+)\s*(=~|!~|!=|=)\s*\"([^\"]*)\"")
LABEL_LIST = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([\w\s,]*)\)")


class Selected(NamedTuple):
    """One series name in an expression, and (label, operator, value) of each of its matchers."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]


def selections(expression: str) -> list[Selected]:
    return [Selected(name, tuple(MATCHER.findall(matchers))) for name, matchers in SELECTOR.findall(expression)]


def listed_labels(expression: str) -> set[str]:
    """Labels that it groups or matches by."""
    lists = LABEL_LIST.findall(expression)
    return {label.strip() for part in lists for label in part.split(",") if label.strip()}
