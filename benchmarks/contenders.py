"""Who takes a turn in a round: the bare loop in a process of its own, or a load generator against a server."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import LoadResult, Request
from benchmarks.machine import SERVER_CORE, pinned, process_cpu_seconds
from benchmarks.processes import Server
from registry.package import open_package

SETTLE_S = 0.5
"""Between two turns, so that none pays for batches that the one before left behind."""


@dataclass(frozen=True)
class Turn:
    """One contender in one round. `cpu_us`: CPU time a request, of our server only what is outside
    ONNX Runtime."""

    requests_per_s: float
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    cpu_us: float = 0.0


@dataclass(frozen=True)
class Bench:
    """What every scenario needs: where things are and how long a turn takes. `photograph` has detail everywhere,
    `scene` has digits on it that a detector and a segmenter of scenes find."""

    server: Server
    packages: Path
    photograph: Path
    scene: Path
    rounds: int
    seconds: int

    def package(self, model: str) -> Path:
        """Where the one version of a model lies."""
        return self.packages / model / "1"


@dataclass(frozen=True)
class BareLoop:
    """A plain loop over one model. `mode`: how far it goes, see benchmarks.bare."""

    package: Path
    mode: str
    picture: Path


LoadGenerator = Callable[[Request, int, float], LoadResult]


def run_bare(loop: BareLoop, batch: int, seconds: float) -> Turn:
    """The plain loop on the server's core, in a process of its own."""
    arguments = [str(loop.package), loop.mode, str(batch), str(seconds), str(loop.picture)]
    command = pinned(SERVER_CORE, [sys.executable, "-m", "benchmarks.bare", *arguments])
    rate, cpu_s = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return Turn(float(rate), cpu_us=float(cpu_s) * 1e6)


class Engine:
    """What ONNX Runtime itself costs: the bare loop's CPU time per run, for every batch size the server may use.

    The server's own clock would count time in which a run was ready and the core was busy with something else.
    """

    def __init__(self, bench: Bench, model: str) -> None:
        loop = BareLoop(bench.package(model), "tensor", bench.photograph)
        self._url = bench.server.url(f"/v2/models/{model}/stats")
        self._buckets = open_package(loop.package).manifest.batch_buckets
        self._seconds = {b: b * run_bare(loop, b, 0.5).cpu_us / 1e6 for b in self._buckets}

    def seconds(self) -> float:
        """Engine time (CPU) of all runs so far, from the server's count of runs by batch size."""
        with urllib.request.urlopen(self._url) as answer:
            runs = json.load(answer)["model_stats"][0]["batch_stats"]
        counts = ((int(run["compute_infer"]["count"]), int(run["batch_size"])) for run in runs)
        return sum((count * self._seconds[self._bucket(size)] for count, size in counts), 0.0)

    def _bucket(self, num_rows: int) -> int:
        return next(bucket for bucket in self._buckets if bucket >= num_rows)


@dataclass(frozen=True)
class Load:
    """A load generator with its request; `engine` where the server is ours and its cost is to be told apart."""

    generate: LoadGenerator
    request: Request
    pid: int
    engine: Engine | None = None


def load_turn(load: Load, connections: int, seconds: float) -> Turn:
    """Any error voids the benchmark: a fast error is no answer."""
    time.sleep(SETTLE_S)
    before = spent_seconds(load)
    result = load.generate(load.request, connections, seconds)
    if result.num_errors or not result.num_requests:
        raise RuntimeError(f"{result.num_errors} errors in {result.num_requests} requests to {load.request.url}")
    cpu_us = (spent_seconds(load) - before) / result.num_requests * 1e6
    return Turn(result.requests_per_s, result.p50_ms, result.p99_ms, cpu_us)


def spent_seconds(load: Load) -> float:
    """CPU time of the server so far, outside ONNX Runtime."""
    return process_cpu_seconds(load.pid) - (load.engine.seconds() if load.engine else 0.0)
