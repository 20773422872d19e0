"""System shared memory: regions that clients on the same host register and then name instead of sending bytes.

Regions are read and written through their file descriptor and not mapped: a client that shrinks an object under a map
would take the server down with SIGBUS.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass

from tasks.errors import BadInput, NotFound, TooLarge, Unsupported

SHARED_MEMORY_FOLDER = "/dev/shm"
KEY = re.compile(r"/?([A-Za-z0-9_.-]{1,255})")
MAX_REGIONS = 1024


@dataclass(frozen=True, slots=True)
class Region:
    """A registered stretch of shared memory: `byte_size` bytes from `offset` of the object `key`."""

    name: str
    key: str
    offset: int
    byte_size: int
    descriptor: int


class SharedMemoryRegions:
    """The regions registered with this server. Reading copies, so that a client can not change what was checked."""

    def __init__(self, enabled: bool, max_tensor_bytes: int) -> None:
        self._enabled, self._max_tensor_bytes = enabled, max_tensor_bytes
        self._regions: dict[str, Region] = {}

    @property
    def enabled(self) -> bool:
        return self._enabled

    def register(self, name: str, key: str, offset: int, byte_size: int) -> None:
        """Open a region. Raises Unsupported where shared memory is off, BadInput for one that is not as described."""
        self.check_enabled()
        if not name or name in self._regions:
            raise BadInput(f"shared memory region {name!r} is already registered" if name else "a region needs a name")
        if len(self._regions) >= MAX_REGIONS:
            raise BadInput(f"{MAX_REGIONS} regions are registered; unregister some")
        found = KEY.fullmatch(key)
        if not found or found[1] in (".", ".."):
            raise BadInput(f"shared memory key {key!r} is not the name of a POSIX shared memory object, like '/images'")
        if offset < 0 or byte_size < 1:
            raise BadInput(f"region {name!r}: offset {offset} and byte_size {byte_size} make no region")
        try:
            descriptor = open_object(os.path.join(SHARED_MEMORY_FOLDER, found[1]), offset + byte_size)
        except (OSError, ValueError) as error:
            raise BadInput(f"shared memory {key!r} can not be used: {error}") from error
        self._regions[name] = Region(name, key, offset, byte_size, descriptor)

    def unregister(self, name: str) -> None:
        """Forget one region; an unknown one is already gone."""
        self.check_enabled()
        region = self._regions.pop(name, None)
        if region is not None:
            os.close(region.descriptor)

    def unregister_all(self) -> None:
        for name in list(self._regions):
            self.unregister(name)

    def status(self, name: str = "") -> list[Region]:
        """One region, or all of them. Raises NotFound for one that is not registered."""
        self.check_enabled()
        if not name:
            return list(self._regions.values())
        if name not in self._regions:
            raise NotFound(f"shared memory region {name!r} is not registered")
        return [self._regions[name]]

    def read(self, name: str, offset: int, byte_size: int | None) -> bytes:
        """A copy of `byte_size` bytes from `offset` of the region. Raises BadInput for bytes it does not have, and
        TooLarge for more than a body may bring: a region may be larger than the memory of this machine."""
        region, start, span = self.locate(name, offset, byte_size)
        if span > self._max_tensor_bytes:
            raise TooLarge(f"{span} bytes of region {name!r} in one tensor; at most {self._max_tensor_bytes} are read")
        data = os.pread(region.descriptor, span, start)
        if len(data) != span:
            raise BadInput(f"the object behind region {name!r} has shrunk; register it again")
        return data

    def write(self, name: str, offset: int, byte_size: int | None, data: bytes | memoryview) -> int:
        """Put `data` into the region; how many bytes it was. Raises BadInput where it does not fit."""
        region, start, span = self.locate(name, offset, byte_size)
        size = memoryview(data).nbytes
        if size > span:
            raise BadInput(f"an output takes {size} bytes, and {span} are set aside in region {name!r}")
        return os.pwrite(region.descriptor, data, start)

    def locate(self, name: str, offset: int, byte_size: int | None) -> tuple[Region, int, int]:
        """The region, and start and length of what is meant within its object."""
        self.check_enabled()
        region = self._regions.get(name)
        if region is None:
            raise BadInput(f"shared memory region {name!r} is not registered; register it on the administration port")
        span = region.byte_size - offset if byte_size is None else byte_size
        if offset < 0 or span < 0 or offset + span > region.byte_size:
            raise BadInput(
                f"bytes {offset} to {offset + span} are outside of region {name!r}, which has {region.byte_size}"
            )
        return region, region.offset + offset, span

    def check_enabled(self) -> None:
        if not self._enabled:
            raise Unsupported("shared memory is off; start the server with shared_memory = true to use it")

    def close(self) -> None:
        """Let go of everything, when the server stops."""
        for region in self._regions.values():
            os.close(region.descriptor)
        self._regions.clear()


def open_object(path: str, num_bytes: int) -> int:
    """A file under the shared memory folder with at least `num_bytes` → descriptor. Raises OSError or ValueError.

    A link is not followed, and what is no plain file is not waited for.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or num_bytes > facts.st_size:
        os.close(descriptor)
        raise ValueError(f"it has {facts.st_size} bytes, and {num_bytes} were asked for")
    return descriptor
