"""Huge pages for weights: a decoder reads all of them for every token, and each page of 4 KiB costs a look-up.

Most distributions give pages of 2 MiB only to memory for which a program asks ("madvise"), and ONNX Runtime does not
ask. What is measured of it stands in benchmarks/generation.md. Linux has MADV_COLLAPSE since 6.1; elsewhere nothing
happens.
"""

from __future__ import annotations

import ctypes
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

PAGE_BYTES = 2 * 2**20
MIN_BYTES = 8 * PAGE_BYTES
"""Of a piece of new memory: smaller ones are no weights whose reading takes long."""
MADV_COLLAPSE = 25
"""As Linux numbers it. Unlike MADV_HUGEPAGE it moves what is there and changes nothing for later: memory that is
reserved and not yet used stays as it is."""
MAPS = Path("/proc/self/maps")
SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
"""All choices, that which is made in brackets: always [madvise] never."""
log = logging.getLogger(__name__)


class Region(NamedTuple):
    """Addresses `start` … `stop` of this process."""

    start: int
    stop: int


@contextmanager
def on_huge_pages() -> Iterator[None]:
    """Large pieces of memory that are allocated and filled inside lie on huge pages afterwards, as far as the system
    has any. What other threads allocate at the same time may be moved too, which does it no harm."""
    if not are_wanted():
        yield
        return
    before = writable_memory()
    yield
    moved = sum(collapse(region) for new in writable_memory() for region in without(new, before))
    if moved:
        log.debug("%d MiB of weights lie on huge pages", moved // 2**20)


def are_wanted() -> bool:
    """Whether whoever runs this system lets programs ask: MADV_COLLAPSE itself does not look."""
    try:
        return sys.platform == "linux" and "[never]" not in SETTING.read_text("ascii")
    except OSError:
        return False


def writable_memory() -> list[Region]:
    """The private memory of this process that is no file's, in rising order; none where the system does not say."""
    try:
        # Names of files may hold any bytes but the end of a line, which the system writes in another way.
        lines = MAPS.read_text("ascii", errors="replace").split("\n")
    except OSError:
        return []
    return [parse_region(line) for line in lines if line and is_anonymous(line)]


def is_anonymous(line: str) -> bool:
    """A line of /proc/PID/maps reads "start-stop permissions offset device inode [name]"."""
    fields = line.split()
    return fields[1] == "rw-p" and (len(fields) == 5 or fields[5] == "[heap]")


def parse_region(line: str) -> Region:
    start, stop = line.split(maxsplit=1)[0].split("-")
    return Region(int(start, 16), int(stop, 16))


def without(region: Region, others: list[Region]) -> Iterator[Region]:
    """The parts of `region` that belong to none of `others`, which are in rising order: the system joins neighbours, so
    that new memory may be described together with old."""
    start = region.start
    for other in others:
        if other.stop <= start or other.start >= region.stop:
            continue
        if other.start > start:
            yield Region(start, other.start)
        start = max(start, other.stop)
    if start < region.stop:
        yield Region(start, region.stop)


def collapse(region: Region) -> int:
    """Bytes of the region that now lie on huge pages."""
    if region.stop - region.start < MIN_BYTES:
        return 0
    first, last = -(-region.start // PAGE_BYTES), region.stop // PAGE_BYTES
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    # Page by page: the call gives up at the first one that was never written to.
    pages = (madvise(page * PAGE_BYTES, PAGE_BYTES, MADV_COLLAPSE) for page in range(first, last))
    return sum(PAGE_BYTES for failed in pages if not failed)
