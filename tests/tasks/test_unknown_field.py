"""Checked with tables of every shape that recipes have."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from tasks.unknown_field import explain, unknown_fields


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Square(Table, frozen=True, kw_only=True, tag_field="shape", tag="square"):
    width: Annotated[int, msgspec.Meta(ge=1)] = 1


class Circle(Table, frozen=True, kw_only=True, tag_field="shape", tag="circle"):
    radius: int = 1
    filled: bool = False


class Drawing(Table, frozen=True, kw_only=True):
    name: str = ""
    shapes: tuple[Square | Circle, ...] = ()
    by_name: dict[str, Square | Circle] = {}
    frame: Square | None = None
    last: tuple[str, Square | Circle] | None = None
    inner: Drawing | None = None
    options: dict[str, Any] = {}


def told(facts: Any) -> str:
    complaint = complaint_of(facts)
    assert complaint is not None
    return explain(complaint, facts, Drawing)


WHOLE = "by_name, frame, inner, last, name, options, shapes"


@pytest.mark.parametrize(
    ("facts", "end"),
    [
        ({"nam": ""}, f"; name is nearest; known: {WHOLE}"),
        ({"options": {"anything": {"goes": 1}}, "x": 1}, f"; known: {WHOLE}"),
        ({"frame": {"widht": 1}}, " - at `$.frame`; width is nearest; known: width"),
        ({"shapes": [{"shape": "circle", "radios": 1}]}, "; radius is nearest; known: filled, radius"),
        ({"shapes": [{"shape": "square"}, {"shape": "square", "radius": 1}]}, " - at `$.shapes[1]`; known: width"),
        ({"by_name": {"a": {"shape": "circle"}, "b": {"shape": "circle", "fill": 1}}}, "known: filled, radius"),
        ({"last": ["a", {"shape": "circle", "x": 1}], "x": 1}, " - at `$.last[1]`; known: filled, radius"),
        ({"inner": {"inner": {"shape": []}}}, f"; shapes is nearest; known: {WHOLE}"),
    ],
)
def test_the_fields_of_the_very_table_are_told(facts: Any, end: str) -> None:
    assert told(facts).endswith(end)
    assert "unknown field" in told(facts)


def test_other_errors_are_told_as_they_are() -> None:
    assert told({"name": 3, "nam": ""}) == "Expected `str`, got `int` - at `$.name`"


VALUES = st.recursive(
    st.none() | st.integers() | st.sampled_from(["square", "circle"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["shape", "width", "radius", "shapes", "frame", "last", "inner", "x"]), inner)
    ),
)


@given(st.dictionaries(st.sampled_from(["shapes", "by_name", "frame", "last", "inner", "options", "y"]), VALUES))
def test_whatever_is_not_known_is_the_one_that_was_complained_of(facts: dict[str, Any]) -> None:
    complaint = complaint_of(facts)
    if complaint is None:
        return
    explained = explain(complaint, facts, Drawing)
    assert explained.startswith(str(complaint))
    unknown = next(unknown_fields(facts, inspect.type_info(Drawing)), None)
    if "unknown field" in str(complaint):
        assert unknown is not None
        assert f"unknown field `{unknown.name}`" in str(complaint)
        assert explained.endswith(", ".join(sorted(unknown.known)))
    else:
        assert explained == str(complaint)


def complaint_of(facts: Any) -> msgspec.ValidationError | None:
    try:
        msgspec.convert(facts, Drawing)
    except msgspec.ValidationError as error:
        return error
    return None
