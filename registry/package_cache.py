"""The package cache: verified copies on local disk, in folders named by the package's digest.

A folder under its digest is complete: it is filled under another name and renamed after verification. A copy that was
damaged since is replaced when it is opened.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path

from registry.package import ModelPackage, open_package
from registry.reference import VersionInfo
from tasks.errors import InvalidPackage, NotReady

DIGEST = re.compile(r"[0-9a-f]{64}")
INCOMING = "incoming-"
ABANDONED_AFTER_S = 86_400


def fetch_into(cache: Path, info: VersionInfo, download: Callable[[Path], Path]) -> ModelPackage:
    """The package of `info` from the cache, or downloaded into it.

    `download(folder)` fills an empty folder and returns where in it the package lies. Raises InvalidPackage when what
    came is damaged or is not the package that was registered (the cache is then as it was), NotReady when the disk can
    not take it.
    """
    try:
        return fetched(cache, info, download)
    except OSError as error:
        raise NotReady(f"the package of {info} can not be brought into {cache}: {error}") from error


def fetched(cache: Path, info: VersionInfo, download: Callable[[Path], Path]) -> ModelPackage:
    final = cache / checked_digest(info)
    if final.is_dir():
        try:
            package = open_as(final, info)
            os.utime(final)  # what `evict` goes by
            return package
        except InvalidPackage:
            discard(final)
    cache.mkdir(parents=True, exist_ok=True)
    incoming = Path(tempfile.mkdtemp(prefix=INCOMING, dir=cache))
    try:
        downloaded = download(incoming)
        open_as(downloaded, info)
        try:
            downloaded.rename(final)
        except OSError:
            # Another process was faster; its copy is as good as ours, or opening it says why not.
            if not final.is_dir():
                raise
        package = open_as(final, info)
        os.utime(final)
        return package
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def evict(cache: Path, budget_bytes: int, keep: Collection[str]) -> list[str]:
    """Remove the packages used longest ago until the rest fits the budget; those with a digest in `keep` stay.

    Returns the digests that went. What a process that was killed left half-done goes after a day. Several processes
    may share a cache: what one removes under the eyes of another counts as gone, and its next fetch brings it back.
    """
    for leftover in cache.glob(f"{INCOMING}*"):
        if time.time() - modified_at(leftover) > ABANDONED_AFTER_S:
            shutil.rmtree(leftover, ignore_errors=True)
    folders = sorted((f for f in cache.glob("*") if DIGEST.fullmatch(f.name)), key=modified_at)
    sizes = {folder: folder_bytes(folder) for folder in folders}
    total, removed = sum(sizes.values()), []
    for folder in folders:
        if total <= budget_bytes:
            break
        if folder.name not in keep:
            discard(folder)
            total -= sizes[folder]
            removed.append(folder.name)
    return removed


def checked_digest(info: VersionInfo) -> str:
    if not DIGEST.fullmatch(info.digest):
        raise InvalidPackage(f"{info} has no package digest: it was not registered by Tidegate; export it again")
    return info.digest


def open_as(folder: Path, info: VersionInfo) -> ModelPackage:
    package = open_package(folder)
    if package.digest != info.digest:
        raise InvalidPackage(
            f"the package of {info} has digest {package.digest[:12]}…, registered was {info.digest[:12]}…: "
            "it was replaced after registration; register it as a new version"
        )
    return package


def discard(folder: Path) -> None:
    """Out of sight first, in one step, so that nobody opens half of it."""
    doomed = Path(tempfile.mkdtemp(prefix=INCOMING, dir=folder.parent))
    try:
        folder.rename(doomed / folder.name)
    except FileNotFoundError:
        pass
    finally:
        shutil.rmtree(doomed, ignore_errors=True)


def modified_at(path: Path) -> float:
    """Seconds since the epoch; now, for what is gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def folder_bytes(folder: Path) -> int:
    """0 for a folder that is gone, or that goes meanwhile."""
    try:
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    except FileNotFoundError:
        return 0
