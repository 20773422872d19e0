from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.template_budget import MAX_UNITS, BudgetExceeded, TemplateBudget


def test_what_is_spent_is_gone() -> None:
    budget = TemplateBudget()
    budget.spend(MAX_UNITS - 10)
    budget.count("0123456789")
    with pytest.raises(BudgetExceeded, match="send fewer or shorter messages, or correct the template"):
        budget.count("0")


@pytest.mark.parametrize(
    ("left", "operator", "right"),
    [
        ("x", "*", 10**9),
        (10**9, "*", [1]),
        (b"x", "*", 10**9),
        (2**4000, "*", 2**4000),
        (10, "**", 10**10),
        ("%999999999d", "%", 1),
        ("%*d", "%", (999999999, 1)),
        ("%(a)999999999s", "%", {"a": 1}),
        ("%.999999999f", "%", 0.5),
        ("%s" * 10_000, "%", ("x" * 100_000,)),
    ],
)
def test_what_would_be_huge_is_refused_before_it_is_made(left: Any, operator: str, right: Any) -> None:
    with pytest.raises(BudgetExceeded):
        TemplateBudget().operate(operator, left, right)


@pytest.mark.parametrize("template", ["{:999999999}", "{0:>999999999}", "{:{}}", "{:.999999999f}", "{}" * 10_000])
def test_braces_are_not_filled_up_to_any_width(template: str) -> None:
    with pytest.raises(BudgetExceeded):
        TemplateBudget().fill_in_braces(template, [1, "x" * 100_000])


def test_formats_may_have_ordinary_widths_and_numbers_beside_them() -> None:
    budget = TemplateBudget()
    budget.fill_in("in 2024 %s had %3d of 10000: %-20.3f, 100%%", ("a", 1, 2.0))
    budget.fill_in_braces("in 2024 {} had {:>5}, {name!r:.3}", ["a", 1])


VALUES = st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5), st.lists(st.integers(), max_size=3))


@given(VALUES, st.sampled_from(["+", "*", "**", "%"]), VALUES.filter(lambda value: value != "%s"))
def test_ordinary_operands_cost_next_to_nothing(left: Any, operator: str, right: Any) -> None:
    is_huge = isinstance(left, int | str | list) and isinstance(right, int) and abs(right) > 10**4
    is_huge |= isinstance(left, int) and isinstance(right, str | list) and abs(left) > 10**4
    if not (is_huge and operator in "**"):
        TemplateBudget().operate(operator, left, right)


def test_lists_that_hold_each_other_are_weighed_as_often_as_they_would_be_written() -> None:
    doubled: list[Any] = [1]
    for _ in range(60):
        doubled = [doubled, doubled]
    budget = TemplateBudget()
    budget.count(doubled)
    budget.spend(MAX_UNITS - 10_000)  # the rest would take two seconds
    with pytest.raises(BudgetExceeded):
        budget.weigh({"arguments": doubled})


@pytest.mark.parametrize(
    ("text", "old", "new", "is_huge"),
    [("ab" * 1000, "b", "xyz", False), ("a" * 10**5, "a", "b" * 10**5, True), ("", "", "b", False)],
)
def test_a_replacement_costs_what_it_makes(text: str, old: str, new: str, is_huge: bool) -> None:
    budget = TemplateBudget()
    if is_huge:
        with pytest.raises(BudgetExceeded):
            budget.replace(text, old, new)
    else:
        budget.replace(text, old, new)
