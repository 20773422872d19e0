"""How a version of a model is named: by a reference a user types, and by the facts a store answers with."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from tasks.errors import BadInput, NotFound

CHAMPION = "champion"
"""The alias that a plain name stands for: the version in production."""
CHALLENGER = "challenger"
"""The alias of the version that is tried beside it."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
ALIAS = re.compile(r"(?!latest\Z)(?![vV][0-9]+\Z)[A-Za-z][A-Za-z0-9_-]{0,127}")
"""MLflow keeps `latest` and `v1`-like words for itself."""
VERSION = re.compile(r"[1-9][0-9]{0,9}")


class ModelRef(msgspec.Struct, frozen=True, kw_only=True):
    """A model, and which of its versions: by number or by alias, never both."""

    name: str
    alias: str | None = None
    version: str | None = None

    @classmethod
    def parse(cls, text: str) -> ModelRef:
        """`name` (its champion), `name@alias` or `name/3`. Raises BadInput."""
        name, slash, version = text.partition("/")
        if slash:
            return cls(name=check_name(name, text), version=check_version(version, text))
        name, at, alias = text.partition("@")
        return cls(name=check_name(name, text), alias=check_alias(alias, text) if at else CHAMPION)

    def __str__(self) -> str:
        return f"{self.name}/{self.version}" if self.version else f"{self.name}@{self.alias}"


class VersionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a store knows about one version. `digest` is the package's own; `created_at` is ISO 8601 in UTC."""

    name: str
    version: str
    digest: str
    created_at: str
    aliases: tuple[str, ...] = ()
    run_id: str = ""

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"

    def is_same_package(self, other: VersionInfo) -> bool:
        """Aliases come and go; version and content are what is served."""
        return self.version == other.version and self.digest == other.digest


def check_name(name: str, text: str) -> str:
    return checked(NAME, name, text, "a model's name has letters, digits, '.', '_' and '-' and starts with no sign")


def check_alias(alias: str, text: str) -> str:
    return checked(ALIAS, alias, text, "an alias has letters, digits, '_' and '-', and is neither 'latest' nor 'v1'")


def check_version(version: str, text: str) -> str:
    return checked(VERSION, version, text, "a version is a number from 1")


def checked(pattern: re.Pattern[str], part: str, text: str, rule: str) -> str:
    """The names end up in paths and URLs, so whoever takes one from outside checks it here."""
    if not pattern.fullmatch(part):
        raise BadInput(f"{text!r} is no model reference: write name, name@alias or name/3 ({rule})")
    return part


def no_such_version(ref: ModelRef, known: Iterable[VersionInfo]) -> NotFound:
    """The error of a reference that leads nowhere, with every one that leads somewhere."""
    there = ", ".join("@".join((info.version, *info.aliases)) for info in known) or "no version at all"
    hint = f"; promote one with: tidegate promote {ref.name}" if ref.alias == CHAMPION else ""
    return NotFound(f"there is no {ref}; {ref.name} has {there}{hint}")
