from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import pytest

from registry.package import ModelPackage
from registry.package_cache import fetch_into
from registry.reference import ModelRef, VersionInfo
from serving.cache_upkeep import keep_up
from serving.last_good import LastGood
from tests.handmade import Handmade, build_package


def info_of(package: ModelPackage) -> VersionInfo:
    return VersionInfo(name="colours", version="1", digest=package.digest, created_at="")


@pytest.mark.parametrize("has_locks", [True, False])
def test_what_left_use_goes_also_where_nothing_can_be_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, has_locks: bool
) -> None:
    package = build_package(tmp_path / "built", Handmade())
    cache = tmp_path / "cache"
    kept = fetch_into(cache, info_of(package), lambda folder: package.folder).folder

    def refuse(file: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    if not has_locks:
        monkeypatch.setattr(fcntl, "flock", refuse)
    keep_up(cache, 0, (), LastGood(cache), ModelRef(name="colours"), info_of(package))
    assert not kept.exists()
    assert bool(LastGood(cache).references()) == has_locks
    assert ("No locks available" in caplog.text) != has_locks
