"""Threads: how many this process may use, and the one pool that decodes pictures and post-processes answers."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

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


def full_decoding(num_threads: int, num_cpus: int) -> float:
    """How many pictures in decoding, on so many threads, keep all CPUs busy; infinite where none ever do."""
    return num_cpus if num_threads >= num_cpus else math.inf


class DecodePool:
    """The threads on which untrusted bytes become tensors and tensors become answers, shared by all models.

    Every picture passes here twice, so this is no `ThreadPoolExecutor`: two futures, a condition and a chain of
    callbacks a time cost the event loop a third of what it spends on a picture. All is called on one event loop."""

    def __init__(self, num_threads: int) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=do_jobs, args=(self._jobs,), name=f"decode-{number}", daemon=True)
            for number in range(num_threads)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, work: Callable[[], Result]) -> Result:
        """The result of `work`. A caller who is cancelled before a thread is free costs nothing."""
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._jobs.put(Job(work, answer))
        try:
            return await answer
        finally:
            # The future's exception holds this frame: with the future it would be a cycle, and pictures outlive it.
            del answer

    def close(self) -> None:
        """The threads end once they have done what was asked for before."""
        for _ in self._threads:
            self._jobs.put(None)


class Job(NamedTuple):
    """A piece of work and the future of whoever waits for it."""

    work: Callable[[], Any]
    answer: asyncio.Future[Any]


def do_jobs(jobs: SimpleQueue[Job | None]) -> None:
    """One thread of the pool. Nothing of a job stays in its variables while it waits for the next."""
    while job := jobs.get():
        work, answer = job
        if not answer.cancelled():
            try:
                outcome = partial(succeed, answer, work())
            except BaseException as error:
                outcome = partial(fail, answer, error)
            with contextlib.suppress(RuntimeError):  # the loop is gone, and with it everybody who waited
                answer.get_loop().call_soon_threadsafe(outcome)
            del outcome
        del job, work, answer


def succeed(answer: asyncio.Future[Any], result: Any) -> None:
    """On the loop: unless the caller has left."""
    if not answer.done():
        answer.set_result(result)


def fail(answer: asyncio.Future[Any], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
