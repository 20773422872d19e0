import mmap
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.runtimes.huge_pages import (
    MIN_BYTES,
    PAGE_BYTES,
    Region,
    are_wanted,
    collapse,
    is_anonymous,
    on_huge_pages,
    without,
    writable_memory,
)

SPAN = 60
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux describes its memory in /proc")


@st.composite
def rising_regions(draw: st.DrawFn) -> list[Region]:
    edges = draw(st.lists(st.integers(0, SPAN), unique=True, max_size=10).map(sorted))
    return [Region(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=False)]


@given(region=st.tuples(st.integers(0, SPAN), st.integers(0, SPAN)), others=rising_regions())
def test_what_is_new_is_what_was_not_there(region: tuple[int, int], others: list[Region]) -> None:
    new = Region(min(region), max(region))
    expected = set(range(*new)) - {address for other in others for address in range(*other)}
    assert [address for part in without(new, others) for address in range(*part)] == sorted(expected)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("7f2c00000000-7f2c08000000 rw-p 00000000 00:00 0 ", True),
        ("55d0c0000000-55d0c8000000 rw-p 00000000 00:00 0                          [heap]", True),
        ("7ffd1c000000-7ffd1c021000 rw-p 00000000 00:00 0                          [stack]", False),
        ("7f2c00000000-7f2c08000000 r--p 00000000 08:01 42                         /usr/lib/libc.so.6", False),
        ("7f2c00000000-7f2c08000000 rw-s 00000000 00:01 42                         /dev/shm/tensors", False),
        ("7f2c00000000-7f2c08000000 ---p 00000000 00:00 0 ", False),
    ],
)
def test_only_private_memory_of_the_process_is_moved(line: str, expected: bool) -> None:
    assert is_anonymous(line) is expected


@linux
def test_files_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = tmp_path / "maps"
    maps.write_bytes(
        b"1000-2000 r--p 00000000 08:01 42   /models/\xff\xe2\x80\xa8\x0c weights\n"
        b"1000000-9000000 rw-p 00000000 00:00 0 \n"
    )
    monkeypatch.setattr("serving.runtimes.huge_pages.MAPS", maps)
    assert writable_memory() == [Region(0x1000000, 0x9000000)]


@linux
@pytest.mark.parametrize(("setting", "expected"), [("always [madvise] never", True), ("always madvise [never]", False)])
def test_who_runs_the_system_decides(
    setting: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "enabled").write_text(setting)
    monkeypatch.setattr("serving.runtimes.huge_pages.SETTING", tmp_path / "enabled")
    assert are_wanted() is expected
    monkeypatch.setattr("serving.runtimes.huge_pages.SETTING", tmp_path / "missing")
    assert not are_wanted()


def test_small_pieces_are_left_alone() -> None:
    assert collapse(Region(0, MIN_BYTES - 1)) == 0


@linux
def test_what_is_filled_inside_keeps_its_values_and_lies_on_huge_pages() -> None:
    num_bytes = 4 * MIN_BYTES
    expected = np.arange(num_bytes // 8)
    with on_huge_pages():
        # Not an array of NumPy's own, which asks for huge pages itself.
        memory = mmap.mmap(-1, num_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        weights = np.frombuffer(memory, np.int64)
        weights[:] = expected
    assert (weights == expected).all()
    if not are_wanted() or not collapse(Region(weights.ctypes.data, weights.ctypes.data + num_bytes)):
        pytest.skip("this system has no huge pages to give")
    assert huge_bytes_at(weights.ctypes.data) >= num_bytes - 2 * PAGE_BYTES


def huge_bytes_at(address: int) -> int:
    """What the system says of the region that holds an address."""
    blocks = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text(), flags=re.MULTILINE)
    for block in blocks:
        found = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", block)
        if found and int(found[1], 16) <= address < int(found[2], 16):
            size = re.search(r"^AnonHugePages: +(\d+) kB", block, re.MULTILINE)
            return 1024 * int(size[1]) if size else 0
    return 0
