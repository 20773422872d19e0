"""Threads: how many this process may use, and the one pool that decodes pictures and post-processes answers."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")


def available_cpus(root: Path = Path("/")) -> int:
    """CPUs that this process may really use: the smaller of its affinity and its cgroup's quota, at least one.

    `os.cpu_count` is the host's count, which in a container is far too many threads.
    """
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), cgroup_quota(root))))


def cgroup_quota(root: Path = Path("/")) -> float:
    """CPUs allowed by the quota of this process's cgroup and of all above it, version 2 or 1; infinite without one."""
    quotas = [math.inf]
    for line in read_lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            folder, read_quota = root / "sys/fs/cgroup", quota_v2
        elif "cpu" in controllers.split(","):
            folder, read_quota = root / "sys/fs/cgroup/cpu", quota_v1
        else:
            continue
        # Inside a container the path often belongs to the host and is not mounted: then only the top exists.
        group = folder / path.strip().lstrip("/")
        quotas += [read_quota(place) for place in (group, *group.parents) if place.is_relative_to(folder)]
    return min(quotas)


def quota_v2(group: Path) -> float:
    """`cpu.max` holds "max 100000" or "<microseconds> <period>"."""
    words = " ".join(read_lines(group / "cpu.max")).split()
    return int(words[0]) / int(words[1]) if len(words) == 2 and words[0] != "max" else math.inf


def quota_v1(group: Path) -> float:
    """−1 means no quota."""
    quota = " ".join(read_lines(group / "cpu.cfs_quota_us"))
    period = " ".join(read_lines(group / "cpu.cfs_period_us"))
    return int(quota) / int(period) if quota and period and int(quota) > 0 else math.inf


def read_lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


class DecodePool:
    """The threads on which untrusted bytes become tensors and tensors become answers, shared by all models."""

    def __init__(self, num_threads: int) -> None:
        self._executor = ThreadPoolExecutor(num_threads, thread_name_prefix="decode")

    async def run(self, work: Callable[[], Result]) -> Result:
        """The result of `work`. A caller who is cancelled before a thread is free costs nothing."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
