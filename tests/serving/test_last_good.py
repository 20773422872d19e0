"""What servers remember for when the registry is away, in a cache that they share."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from registry.reference import VersionInfo
from serving.last_good import LastGood
from tests.forks import forked


def version(number: int) -> VersionInfo:
    return VersionInfo(name="colours", version=str(number), digest="a" * 64, created_at="")


def serve(cache: Path, reference: str) -> None:
    """A server that follows a reference from version to version."""
    last_good = LastGood(cache)
    for number in range(20):
        last_good.remember(reference, version(number))


def test_servers_on_one_cache_remember_what_each_has_served(tmp_path: Path) -> None:
    references = ["colours", "cells", "letters"]
    assert forked(*(partial(serve, tmp_path, reference) for reference in references)) == [0, 0, 0]
    last_good = LastGood(tmp_path)
    assert [last_good.find(reference) for reference in references] == [version(19)] * 3


def test_a_damaged_file_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "last_good.json").write_text("{")
    last_good = LastGood(tmp_path)
    assert last_good.references() == []
    last_good.remember("colours", version(1))
    assert LastGood(tmp_path).references() == ["colours"]
