"""The cache: what it hands out is verified, and what it keeps fits the disk."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.package import ModelPackage
from registry.package_cache import evict, fetch_into
from registry.reference import VersionInfo
from tasks.errors import InvalidPackage, NotFound, NotReady
from tests.registry.conftest import Variation

Download = Callable[[Path], Path]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def info_of(package: ModelPackage) -> VersionInfo:
    return VersionInfo(name="colours", version="1", digest=package.digest, created_at="")


def download_of(package: ModelPackage) -> Download:
    return lambda folder: Path(shutil.copytree(package.folder, folder / "package"))


def never(folder: Path) -> Path:
    raise AssertionError("downloaded again")


def test_a_package_is_downloaded_once(cache: Path, built: ModelPackage) -> None:
    first = fetch_into(cache, info_of(built), download_of(built))
    assert fetch_into(cache, info_of(built), never).folder == first.folder == cache / built.digest
    assert [entry.name for entry in cache.iterdir()] == [built.digest]


def test_a_copy_damaged_since_is_replaced(cache: Path, built: ModelPackage) -> None:
    (fetch_into(cache, info_of(built), download_of(built)).folder / "fp32" / "model.onnx").write_bytes(b"")
    assert fetch_into(cache, info_of(built), download_of(built)).digest == built.digest
    assert [entry.name for entry in cache.iterdir()] == [built.digest]


def test_what_arrives_damaged_is_not_kept(cache: Path, built: ModelPackage) -> None:
    def download(folder: Path) -> Path:
        (download_of(built)(folder) / "fp32" / "model.onnx").write_bytes(b"")
        return folder / "package"

    with pytest.raises(InvalidPackage, match="altered"):
        fetch_into(cache, info_of(built), download)
    assert list(cache.iterdir()) == []


def test_another_package_than_the_registered_one_is_not_kept(cache: Path, built: ModelPackage, vary: Variation) -> None:
    with pytest.raises(InvalidPackage, match="replaced after registration"):
        fetch_into(cache, info_of(built), download_of(vary()))
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("digest", ["", "../../etc", "A" * 64])
def test_a_version_without_digest_is_not_ours(cache: Path, digest: str) -> None:
    info = VersionInfo(name="colours", version="1", digest=digest, created_at="")
    with pytest.raises(InvalidPackage, match="no package digest"):
        fetch_into(cache, info, never)
    assert not cache.exists()


def test_a_download_that_fails_leaves_nothing(cache: Path, built: ModelPackage) -> None:
    def download(folder: Path) -> Path:
        (folder / "half").write_text("")
        raise NotFound("gone")

    with pytest.raises(NotFound, match="gone"):
        fetch_into(cache, info_of(built), download)
    assert list(cache.iterdir()) == []


def test_a_disk_that_can_not_take_it_is_said_to_be_at_fault(tmp_path: Path, built: ModelPackage) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotReady, match="can not be brought into"):
        fetch_into(tmp_path / "file" / "cache", info_of(built), download_of(built))


def test_processes_at_once_end_with_one_good_copy(cache: Path, built: ModelPackage) -> None:
    folders: list[Path] = []
    together = threading.Barrier(4)

    def download(folder: Path) -> Path:
        together.wait(30)
        return download_of(built)(folder)

    def fetch() -> None:
        folders.append(fetch_into(cache, info_of(built), download).folder)

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert folders == [cache / built.digest] * 4
    assert [entry.name for entry in cache.iterdir()] == [built.digest]


def filled(cache: Path, vary: Variation) -> list[str]:
    """Three packages in the cache, the first used longest ago."""
    packages = [vary() for _ in range(3)]
    for age, package in zip((300, 200, 100), packages, strict=True):
        fetch_into(cache, info_of(package), download_of(package))
        os.utime(cache / package.digest, (time.time() - age,) * 2)
    return [package.digest for package in packages]


def num_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_those_used_longest_ago_go_until_the_rest_fits(cache: Path, vary: Variation) -> None:
    digests = filled(cache, vary)
    assert evict(cache, num_bytes(cache), keep=()) == []
    assert evict(cache, num_bytes(cache) - 1, keep=()) == digests[:1]
    assert evict(cache, 0, keep=()) == digests[1:]
    assert list(cache.iterdir()) == []


def test_use_makes_young(cache: Path, vary: Variation) -> None:
    digests = filled(cache, vary)
    info = VersionInfo(name="colours", version="1", digest=digests[0], created_at="")
    fetch_into(cache, info, never)
    assert evict(cache, num_bytes(cache) - 1, keep=()) == [digests[1]]


def test_what_is_served_stays_whatever_the_budget(cache: Path, vary: Variation) -> None:
    digests = filled(cache, vary)
    assert evict(cache, 0, keep=digests[:1]) == digests[1:]
    assert [entry.name for entry in cache.iterdir()] == digests[:1]


def test_what_a_killed_process_left_goes_after_a_day(cache: Path, built: ModelPackage) -> None:
    fetch_into(cache, info_of(built), download_of(built))
    for name, age_s in (("incoming-old", 90_000), ("incoming-new", 10)):
        (cache / name).mkdir()
        os.utime(cache / name, (time.time() - age_s,) * 2)
    assert evict(cache, 10**9, keep=()) == []
    assert {entry.name for entry in cache.iterdir()} == {built.digest, "incoming-new"}


def test_a_cache_that_is_not_there_is_empty(cache: Path) -> None:
    assert evict(cache, 0, keep=()) == []
