"""The machine under a benchmark: what it is, which core runs what, and how much of it the host took away."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SERVER_CORE, LOAD_CORE = 0, 1
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
INTERESTING_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")


def pinned(core: int, command: Sequence[str]) -> list[str]:
    """The command, held on one core."""
    return ["taskset", "-c", str(core), *command]


def describe_machine() -> str:
    """Processor, cores and the instruction sets that decide int8 speed, in one line."""
    facts = Path("/proc/cpuinfo").read_text()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in facts.splitlines())}
    features = [name for name in INTERESTING_FEATURES if name in fields.get("flags", "").split()]
    cores = len(os.sched_getaffinity(0))
    processor = fields.get("model name", platform.machine())
    return f"{processor}, {cores} cores, {' '.join(features)}, Python {platform.python_version()}"


@dataclass(frozen=True)
class CpuTimes:
    """Ticks of the whole machine since boot."""

    total: int
    stolen: int

    @classmethod
    def now(cls) -> CpuTimes:
        ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return cls(total=sum(ticks), stolen=ticks[7])

    def stolen_share_since(self, earlier: CpuTimes) -> float:
        """The part of all CPU time since `earlier` that the host gave to somebody else, 0 to 1."""
        return (self.stolen - earlier.stolen) / max(1, self.total - earlier.total)


def process_cpu_seconds(pid: int) -> float:
    """User plus system time of a process and all its threads."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / TICKS_PER_SECOND
