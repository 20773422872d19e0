from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import threading
import weakref
from functools import partial
from pathlib import Path

import pytest

from serving.workers import DecodePool, available_cpus, cgroup_quota, full_decoding
from tasks.errors import BadInput


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_version_2_takes_the_tightest_quota_on_the_way_up(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/kubepods/pod1/container\n")
    write(tmp_path / "sys/fs/cgroup/kubepods/pod1/cpu.max", "150000 100000\n")
    write(tmp_path / "sys/fs/cgroup/kubepods/pod1/container/cpu.max", "max 100000\n")
    assert cgroup_quota(tmp_path) == 1.5


def test_inside_a_container_the_quota_is_at_the_top(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/\n")
    write(tmp_path / "sys/fs/cgroup/cpu.max", "50000 100000\n")
    assert cgroup_quota(tmp_path) == 0.5
    assert available_cpus(tmp_path) == 1, "half a processor still needs a thread"


def test_a_path_of_the_host_that_is_not_mounted_leads_to_the_top(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/system.slice/docker-1.scope\n")
    write(tmp_path / "sys/fs/cgroup/cpu.max", "100000 100000\n")
    assert cgroup_quota(tmp_path) == 1


def test_version_1(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "4:memory:/pod\n3:cpu,cpuacct:/pod\n1:name=systemd:/\n0::/\n")
    write(tmp_path / "sys/fs/cgroup/cpu/pod/cpu.cfs_quota_us", "50000\n")
    write(tmp_path / "sys/fs/cgroup/cpu/pod/cpu.cfs_period_us", "100000\n")
    assert cgroup_quota(tmp_path) == 0.5
    write(tmp_path / "sys/fs/cgroup/cpu/pod/cpu.cfs_quota_us", "-1\n")
    assert cgroup_quota(tmp_path) == math.inf


def test_without_cgroups_affinity_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3, 5, 7})
    assert cgroup_quota(tmp_path) == math.inf
    assert available_cpus(tmp_path) == 3


@pytest.mark.parametrize(
    ("num_threads", "num_cpus", "expected"), [(1, 1, 1), (4, 4, 4), (8, 2, 2), (1, 2, math.inf), (3, 4, math.inf)]
)
def test_decoding_has_all_cpus_where_it_has_a_thread_for_each(num_threads: int, num_cpus: int, expected: float) -> None:
    assert full_decoding(num_threads, num_cpus) == expected


async def test_work_whose_caller_left_before_its_turn_is_not_done() -> None:
    pool, gate, done = DecodePool(1), threading.Event(), []
    busy = asyncio.create_task(pool.run(gate.wait))
    left = asyncio.create_task(pool.run(lambda: done.append("left")))
    stayed = asyncio.create_task(pool.run(lambda: done.append("stayed")))
    await asyncio.sleep(0.01)
    left.cancel()
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(busy, stayed)
    assert done == ["stayed"]
    pool.close()


async def test_results_and_errors_come_back_to_whoever_asked() -> None:
    pool = DecodePool(2)
    wanted = [pool.run(partial(pow, 2, number)) for number in range(50)]
    assert await asyncio.gather(*wanted) == [2**number for number in range(50)]
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 / 0)
    assert await pool.run(lambda: "still there") == "still there"
    pool.close()


async def test_what_was_worked_on_goes_with_the_answer() -> None:
    class Picture:
        def decode(self) -> None:
            raise BadInput("no picture")

    pool, picture = DecodePool(1), Picture()
    seen = weakref.ref(picture)
    gc.disable()
    try:
        with contextlib.suppress(BadInput):
            await pool.run(picture.decode)
        del picture
        await pool.run(int)  # by then the thread has let go of it
        assert seen() is None
    finally:
        gc.enable()
        pool.close()


async def test_a_pool_is_closed_after_what_was_asked_for() -> None:
    pool = DecodePool(1)
    last = asyncio.create_task(pool.run(lambda: "done"))
    await asyncio.sleep(0)
    pool.close()
    assert await last == "done"
