"""TemplateBudget: how much a chat template may do for one prompt.

Counted are units of work, never seconds: what a template may put must not depend on what else this machine does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from string import Formatter
from typing import Any, AnyStr

import jinja2

MAX_UNITS = 2**28
"""Two or three seconds of work, or 256 MB of text. A conversation of 100k tokens takes a hundredth; a sixth where the
template gathers it in one text, message by message."""
ITEM, STEP, CALL = 16, 64, 256
"""Units of an item of a list, of a pass through a loop, of a call. A character is one unit."""
MAX_BITS = 4096
"""Of whole numbers. Arithmetic on longer ones takes more time than they have digits."""
WIDE = re.compile(r"\d{4}|[*{]")
"""In what says how a value is to be filled in: a width of four digits, or one that is not written there."""
PERCENT_WIDE = re.compile(r"%[^%a-zA-Z]*(\d{4}|\*)")


class BudgetExceeded(jinja2.TemplateError):
    """A template that does not come to an end, or whose texts grow without bound."""

    def __init__(self) -> None:
        super().__init__(
            "it takes too much work: a loop without end, or texts that grow and grow; send fewer or shorter messages,"
            " or correct the template"
        )


class TemplateBudget:
    """Of one rendering. All methods raise BudgetExceeded, and those that say so before anything is made."""

    def __init__(self) -> None:
        self._left: float = MAX_UNITS

    def spend(self, units: float) -> None:
        self._left -= units
        if self._left < 0:
            raise BudgetExceeded

    def count(self, value: object) -> None:
        """For work that looks at a text, or at every item of a list."""
        self.spend(size_of(value))

    def weigh(self, value: object) -> None:
        """For work that looks at all that is in a list, and in the lists that are in it."""
        rest = [value]
        while rest:
            one = rest.pop()
            self.spend(STEP + size_of(one))
            if isinstance(one, Mapping):
                rest += one.keys()
                rest += one.values()
            elif isinstance(one, Collection) and not isinstance(one, (str, bytes, range)):
                rest += one

    def operate(self, operator: str, left: Any, right: Any) -> None:
        """Before a binary operator is applied."""
        if operator == "%" and isinstance(left, str):
            self.fill_in(left, right)
        elif isinstance(left, int) and isinstance(right, int):
            self.spend(STEP if bits_of(operator, left, right) <= MAX_BITS else math.inf)
        elif operator == "*":
            self.spend(STEP + repeated(left, right) + repeated(right, left))
        else:
            self.spend(STEP + size_of(left) + size_of(right))

    def fill_in(self, template: str, values: object) -> None:
        """Before values are put in after each per cent sign of a format."""
        if (WIDE if isinstance(values, Mapping) else PERCENT_WIDE).search(template):
            self.spend(math.inf)
        for _ in range(template.count("%")):
            self.weigh(values)

    def fill_in_braces(self, template: str, values: object) -> None:
        """Before values are put in between the braces of a format."""
        for _, _, width, _ in Formatter().parse(template):
            self.weigh(values)
            if width and WIDE.search(width):
                self.spend(math.inf)

    def search(self, text: str | bytes, wanted: str | bytes) -> None:
        """Before one text is looked for in another by a method that may compare it at every place."""
        self.spend(len(text) * len(wanted))

    def replace(self, text: AnyStr, old: AnyStr, new: AnyStr) -> None:
        """Before one text takes the place of another."""
        self.spend(len(text) + text.count(old) * len(new))

    def join(self, separator: str | bytes, items: Collection[object]) -> None:
        """Before items are made one text."""
        self.weigh(items)
        self.spend(len(separator) * len(items))


def size_of(value: object) -> float:
    """Units."""
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        return math.inf
    return ITEM * (len(value) if isinstance(value, Collection) else 1)


def repeated(value: object, times: object) -> float:
    """Units of a text or list so many times over; 0 for anything else."""
    return size_of(value) * max(times, 0) if isinstance(value, Collection) and isinstance(times, int) else 0


def bits_of(operator: str, left: int, right: int) -> int:
    """An upper bound of the result's."""
    if operator == "**":
        return left.bit_length() * max(right, 0)
    return left.bit_length() + right.bit_length()
