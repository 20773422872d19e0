"""Where generated data is kept between runs: a folder per content key, built by one process at a time."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

CACHE_VARIABLE = "TIDEGATE_CACHE"
DEFAULT_CACHE = Path(".tidegate") / "cache"


def cache_root() -> Path:
    """The cache folder of this machine: $TIDEGATE_CACHE, or .tidegate/cache in the working directory."""
    return Path(os.environ.get(CACHE_VARIABLE) or DEFAULT_CACHE).absolute()


def cache_key(*facts: object) -> str:
    """A name for what follows from these facts (anything that JSON can hold)."""
    return hashlib.sha256(msgspec.json.encode(facts, order="deterministic")).hexdigest()[:32]


def cached_folder(kind: str, key: str, marker: str, build: Callable[[Path], None]) -> Path:
    """The folder of this key, built first where `marker`, the file that is written last, is not in it yet.

    Processes that want the same folder (ranks of one training, two commands at once) wait for the one that builds.
    """
    folder = cache_root() / kind / key
    if (folder / marker).is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{key}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logging.getLogger(__name__).warning("waiting for another process that builds %s", folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / marker).is_file():
            build(folder)
    return folder
