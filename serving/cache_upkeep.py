"""What is done on disk after a version was brought into service, of no consequence for those who are being answered."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from registry.package_cache import evict
from registry.reference import ModelRef, VersionInfo
from serving.last_good import LastGood
from tasks.errors import NotReady

log = logging.getLogger(__name__)


def keep_up(
    cache: Path, budget_bytes: int, in_use: Collection[str], last_good: LastGood, ref: ModelRef, info: VersionInfo
) -> None:
    """Remember what is served, for when the registry is away, and make room in the cache for what comes. `in_use`:
    digests of packages that stay."""
    with forgiven():
        last_good.remember(str(ref), info)
    with forgiven():
        for digest in evict(cache, budget_bytes, in_use):
            log.info("package %s left the cache", digest[:12])


@contextmanager
def forgiven() -> Iterator[None]:
    """What a cache denies, its volume's space or locks, is no reason not to serve."""
    try:
        yield
    except (OSError, NotReady) as error:
        log.warning("the package cache can not be kept in order: %s", error)
