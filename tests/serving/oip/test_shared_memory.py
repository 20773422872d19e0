from __future__ import annotations

import os
from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory

import numpy as np
import pytest

from serving.oip.shared_memory import SharedMemoryRegions
from tasks.errors import BadInput, NotFound, TooLarge, Unsupported


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    made = SharedMemory(create=True, size=4096)
    try:
        yield made
    finally:
        made.close()
        made.unlink()


@pytest.fixture
def regions() -> Iterator[SharedMemoryRegions]:
    made = SharedMemoryRegions(enabled=True, max_tensor_bytes=4096)
    yield made
    made.close()


def test_what_a_client_puts_in_is_read_and_what_the_server_puts_in_is_seen(
    memory: SharedMemory, regions: SharedMemoryRegions
) -> None:
    memory.buf[100:104] = b"abcd"
    regions.register("r", f"/{memory.name}", 100, 50)
    assert regions.read("r", 1, 3) == b"bcd"
    assert regions.read("r", 0, None)[:4] == b"abcd"
    assert regions.write("r", 10, 8, np.array([1, 2], np.float32).data) == 8
    assert np.frombuffer(bytes(memory.buf[110:118]), np.float32).tolist() == [1, 2]


def test_regions_are_listed_until_they_are_unregistered(memory: SharedMemory, regions: SharedMemoryRegions) -> None:
    regions.register("a", memory.name, 0, 8)
    regions.register("b", memory.name, 8, 8)
    assert [(r.name, r.offset, r.byte_size) for r in regions.status()] == [("a", 0, 8), ("b", 8, 8)]
    regions.unregister("a")
    with pytest.raises(NotFound, match="'a'"):
        regions.status("a")
    regions.unregister_all()
    assert regions.status() == []


@pytest.mark.parametrize(
    ("key", "offset", "size"),
    [
        ("/no-such-object-here", 0, 1),
        ("../../etc/passwd", 0, 1),
        ("..", 0, 1),
        ("", 0, 1),
        ("a/b", 0, 1),
        ("MEMORY", 0, 4097),
        ("MEMORY", 4096, 1),
        ("MEMORY", -1, 4),
        ("MEMORY", 0, 0),
        ("MEMORY", 2**61, 2**61),
    ],
)
def test_a_region_that_is_not_there_is_refused(
    memory: SharedMemory, regions: SharedMemoryRegions, key: str, offset: int, size: int
) -> None:
    with pytest.raises(BadInput):
        regions.register("r", key.replace("MEMORY", memory.name), offset, size)
    assert regions.status() == []


def test_a_name_can_not_be_taken_twice(memory: SharedMemory, regions: SharedMemoryRegions) -> None:
    regions.register("r", memory.name, 0, 8)
    with pytest.raises(BadInput, match="already"):
        regions.register("r", memory.name, 0, 8)


@pytest.mark.parametrize(("offset", "size"), [(0, 51), (50, 1), (51, None), (2**62, 2**62)])
def test_reading_and_writing_stay_inside(
    memory: SharedMemory, regions: SharedMemoryRegions, offset: int, size: int | None
) -> None:
    regions.register("r", memory.name, 0, 50)
    with pytest.raises(BadInput):
        regions.read("r", offset, size)
    with pytest.raises(BadInput):
        regions.write("r", offset, size, b"x" * 60)


def test_an_output_larger_than_its_place_is_refused(memory: SharedMemory, regions: SharedMemoryRegions) -> None:
    regions.register("r", memory.name, 0, 50)
    with pytest.raises(BadInput, match="16 bytes, and 8"):
        regions.write("r", 0, 8, b"x" * 16)


def test_a_client_that_shrinks_its_object_hurts_only_itself(memory: SharedMemory, regions: SharedMemoryRegions) -> None:
    regions.register("r", memory.name, 0, 4096)
    os.truncate(f"/dev/shm/{memory.name}", 10)
    with pytest.raises(BadInput, match="shrunk"):
        regions.read("r", 0, 4096)


def test_nothing_works_while_shared_memory_is_off(memory: SharedMemory) -> None:
    regions = SharedMemoryRegions(enabled=False, max_tensor_bytes=1000)
    with pytest.raises(Unsupported, match="off"):
        regions.register("r", memory.name, 0, 8)
    with pytest.raises(Unsupported, match="off"):
        regions.read("r", 0, 8)


def test_a_region_larger_than_memory_is_not_read_at_once(memory: SharedMemory, regions: SharedMemoryRegions) -> None:
    os.truncate(f"/dev/shm/{memory.name}", 2**40)  # sparse: it costs its owner nothing
    regions.register("r", memory.name, 0, 2**40)
    for byte_size in (None, 2**40, 4097):
        with pytest.raises(TooLarge, match="at most 4096"):
            regions.read("r", 0, byte_size)
    assert regions.read("r", 2**40 - 8, 8) == bytes(8)
