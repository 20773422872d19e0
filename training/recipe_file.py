"""The TOML file behind a recipe of training or export: found by name or path, read, with `--set` written into it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from tasks.errors import InvalidRecipe, NotFound
from tasks.unknown_field import explain

Recipe = TypeVar("Recipe")


class RecipeTables(NamedTuple):
    """What a file says, still untyped. `origin`: the file and what was set, for errors."""

    facts: dict[str, Any]
    origin: str


@dataclass(frozen=True)
class RecipeFolder:
    """The recipes that come with the project. `what` they are called in errors."""

    path: Path
    what: str

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(path.stem for path in self.path.glob("*.toml")))

    def find(self, name_or_path: str | Path) -> Path:
        """Where a recipe lies: one of these, or any other. Raises NotFound listing those that exist."""
        bundled, path = self.path / f"{name_or_path}.toml", Path(name_or_path)
        if bundled.is_file():
            return bundled
        if path.is_file():
            return path
        raise NotFound(
            f"no {self.what} {str(name_or_path)!r}: name one of {', '.join(self.names())}, or give the path of a TOML "
            "file"
        )

    def read(self, name_or_path: str | Path, overrides: Sequence[str]) -> RecipeTables:
        """A recipe with `section.field=value` overrides (values in TOML). Raises NotFound, or InvalidRecipe
        naming the file."""
        path = self.find(name_or_path)
        try:
            facts = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InvalidRecipe(f"{path}: not a readable TOML file ({error})") from error
        for override in overrides:
            apply_override(facts, override)
        return RecipeTables(facts, f"{path} with {', '.join(overrides)}" if overrides else str(path))


def apply_override(facts: dict[str, Any], override: str) -> None:
    """Sets one `section.field=value` in nested tables; `steps.0.ratio=0.5` is a field of the first table of a list.
    Raises InvalidRecipe."""
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise InvalidRecipe(f"override {override!r} must look like schedule.epochs=20")
    place: Any = facts
    for part in parts[:-1]:
        place = place.setdefault(part, {}) if isinstance(place, dict) else place[find_index(place, part, override)]
        if not isinstance(place, dict | list):
            raise InvalidRecipe(f"override {override!r}: {part!r} is a value, not a table")
    last: Any = parts[-1] if isinstance(place, dict) else find_index(place, parts[-1], override)
    try:
        place[last] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        # A bare word is a string: quoting inside a shell is not worth an error.
        place[last] = text.strip()


def find_index(items: Sequence[Any], part: str, override: str) -> int:
    """Which of the items a part of an override means. Raises InvalidRecipe."""
    if not part.isdecimal() or int(part) >= len(items):
        raise InvalidRecipe(f"override {override!r}: {part!r} is no place in a list of {len(items)}, counted from 0")
    return int(part)


def convert_tables(facts: Mapping[str, Any], kind: type[Recipe], origin: str) -> Recipe:
    """Nested tables → a typed recipe. Raises InvalidRecipe naming the field, and those that there are in its place."""
    try:
        return msgspec.convert(facts, kind)
    except msgspec.ValidationError as error:
        raise InvalidRecipe(f"{origin}: {explain(error, facts, kind)}") from error
