from __future__ import annotations

import tomllib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.recipe_file import apply_override
from training.search.toml_text import as_override, toml_text

scalars = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    scalars | texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)


@given(values)
def test_any_value_comes_back_from_toml(value: object) -> None:
    assert tomllib.loads(f"value = {toml_text(value)}") == {"value": value}


@given(values)
def test_any_value_can_be_set(value: object) -> None:
    facts: dict[str, object] = {}
    apply_override(facts, as_override("model.options", value))
    assert facts == {"model": {"options": value}}


def test_dates_are_no_values_of_recipes() -> None:
    with pytest.raises(TypeError, match="neither string, number"):
        toml_text(date(2026, 1, 1))
