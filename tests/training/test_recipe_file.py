from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import InvalidRecipe, NotFound
from training.recipe_file import RecipeFolder, apply_override, convert_tables


@pytest.fixture
def folder(tmp_path: Path) -> RecipeFolder:
    (tmp_path / "bundled").mkdir()
    for name, size in (("large", 100), ("small", 1)):
        (tmp_path / "bundled" / f"{name}.toml").write_text(f"size = {size}\n")
    return RecipeFolder(tmp_path / "bundled", "tea recipe")


def test_by_name_or_by_path(folder: RecipeFolder, tmp_path: Path) -> None:
    assert folder.names() == ("large", "small")
    assert folder.read("small", ()).facts == {"size": 1}
    (tmp_path / "mine.toml").write_text("size = 3\n")
    assert folder.read(tmp_path / "mine.toml", ()) == ({"size": 3}, str(tmp_path / "mine.toml"))
    with pytest.raises(NotFound, match=r"no tea recipe 'medium': name one of large, small, or give the path"):
        folder.find("medium")


@pytest.mark.parametrize("content", [b"size = ", b"\xff\xfe", b"size = 1\nsize = 2"])
def test_a_file_that_is_no_toml_is_named(folder: RecipeFolder, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.toml").write_bytes(content)
    with pytest.raises(InvalidRecipe, match=r"broken\.toml: not a readable TOML file"):
        folder.read(tmp_path / "broken.toml", ())


def test_what_was_set_is_named_where_it_is_wrong(folder: RecipeFolder) -> None:
    class Tea(msgspec.Struct):
        size: int

    facts, origin = folder.read("small", ["size=much"])
    with pytest.raises(InvalidRecipe, match=r"small\.toml with size=much: Expected `int`, got `str` - at `\$\.size`"):
        convert_tables(facts, Tea, origin)


@given(st.one_of(st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False), st.booleans()))
@settings(deadline=None)
def test_override_values_are_toml(value: float) -> None:
    facts: dict[str, object] = {}
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    apply_override(facts, f"a.b={text}")
    assert facts == {"a": {"b": value}}


def test_a_field_of_a_table_in_a_list_can_be_set() -> None:
    facts: dict[str, object] = {"steps": [{"ratio": 0.5}, {"bits": 8}]}
    apply_override(facts, "steps.1.bits=4")
    apply_override(facts, "steps.0={ ratio = 0.7 }")
    assert facts == {"steps": [{"ratio": 0.7}, {"bits": 4}]}


@pytest.mark.parametrize("key", ["steps.2.bits", "steps.-1.bits", "steps.first.bits", "steps.2", "steps.first"])
def test_what_is_no_place_in_a_list_is_named(key: str) -> None:
    with pytest.raises(InvalidRecipe, match=rf"override '{key}=4': '.*' is no place in a list of 2, counted from 0"):
        apply_override({"steps": [{}, {}]}, f"{key}=4")
