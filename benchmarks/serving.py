"""Requests per second, latency and CPU cost of the server, beside what the same core does without it.

    python -m benchmarks.serving [--rounds 10] [--seconds 2] [--only tensor|jpeg|http|grpc]

The server has one core, the load generator (C) the other. Every contender takes its turn in every round; ratios are
taken within a round. Bars, and what they are held against:

    tensor   ResNet-18, tensor in      ≥ 0.93 of a bare ONNX Runtime loop
    jpeg     ResNet-18, JPEG 1280×960  ≥ 0.93 of a bare loop of our own decode and ONNX Runtime
    http     0.02 ms model, 12 kB      ≥ 0.35 of a bare uvicorn echo of the same body
    grpc     the same over gRPC        ≥ 0.60 of a bare grpc.aio echo of the same message
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.load import LoadResult, Request, run_h2load, run_wrk
from benchmarks.machine import SERVER_CORE, describe_machine, pinned, process_cpu_seconds
from benchmarks.packages import RESNET, TINY, resnet_package, tiny_package
from benchmarks.processes import Server, echo_server, tidegate_server
from benchmarks.requests import GRPC_METHOD, photograph, picture_over_http, tensor_over_grpc, tensor_over_http
from benchmarks.rounds import Interval, Rounds, interleave
from registry.package import open_package

CONNECTIONS = (1, 8, 32)
BARE_BATCHES = (1, 8)
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
    """What every scenario needs: where things are and how long a turn takes."""

    server: Server
    packages: Path
    picture: Path
    rounds: int
    seconds: int


Contenders = Mapping[str, Callable[[], Turn]]
LoadGenerator = Callable[[Request, int, float], LoadResult]


def run_bare(folder: Path, mode: str, batch: int, seconds: float, picture: Path) -> tuple[float, float]:
    """The plain loop on the server's core, in a process of its own: items per second, CPU seconds per item."""
    arguments = [str(folder), mode, str(batch), str(seconds), str(picture)]
    command = pinned(SERVER_CORE, [sys.executable, "-m", "benchmarks.bare", *arguments])
    rate, cpu_s = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(rate), float(cpu_s)


def bare_turn(bench: Bench, mode: str, batch: int) -> Turn:
    rate, cpu_s = run_bare(bench.packages / RESNET / "1", mode, batch, bench.seconds, bench.picture)
    return Turn(rate, cpu_us=cpu_s * 1e6)


class Engine:
    """What ONNX Runtime itself costs: the bare loop's CPU time per run, for every batch size the server may use.

    The server's own clock would count time in which a run was ready and the core was busy with something else.
    """

    def __init__(self, bench: Bench, model: str) -> None:
        folder = bench.packages / model / "1"
        self._url = bench.server.url(f"/v2/models/{model}/stats")
        self._buckets = open_package(folder).manifest.batch_buckets
        self._seconds = {b: b * run_bare(folder, "tensor", b, 0.5, bench.picture)[1] for b in self._buckets}

    def seconds(self) -> float:
        """Engine time (CPU) of all runs so far, from the server's count of runs by batch size."""
        with urllib.request.urlopen(self._url) as answer:
            runs = json.load(answer)["model_stats"][0]["batch_stats"]
        return sum(run["compute_infer"]["count"] * self._seconds[self._bucket(run["batch_size"])] for run in runs)

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


def engine_bound(bench: Bench, mode: str, request: Request) -> Rounds[Turn]:
    """A model that costs far more than the server: what does the server take away from it?"""
    contenders: dict[str, Callable[[], Turn]] = {
        f"bare, batch {batch}": partial(bare_turn, bench, mode, batch) for batch in BARE_BATCHES
    }
    load = Load(run_wrk, request, bench.server.pid, Engine(bench, RESNET))
    for connections in CONNECTIONS:
        # Whoever is cut off at the end is not counted: a batch of eight is a quarter of a second.
        seconds = bench.seconds * (5 if connections > 1 else 1)
        contenders[f"tidegate, {connections}"] = partial(load_turn, load, connections, seconds)
    return interleave(contenders, bench.rounds, note)


def overhead_bound(bench: Bench, ours: Load, echo: Load) -> Rounds[Turn]:
    """A model that costs next to nothing: what does the server itself cost?"""
    contenders: dict[str, Callable[[], Turn]] = {}
    for connections in CONNECTIONS:
        contenders[f"echo, {connections}"] = partial(load_turn, echo, connections, bench.seconds)
        contenders[f"tidegate, {connections}"] = partial(load_turn, ours, connections, bench.seconds)
    return interleave(contenders, bench.rounds, note)


def note(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)


def requests_per_s(turn: Turn) -> float:
    return turn.requests_per_s


def bare_of(rounds: Rounds[Turn], name: str) -> str:
    """One caller at a time can only be answered in batches of one; many are held against the loop's better batch."""
    names = [f"bare, batch {batch}" for batch in BARE_BATCHES]
    if name == "tidegate, 1":
        return names[0]
    return max(names, key=lambda bare: rounds.median(bare, requests_per_s))


def print_table(title: str, rounds: Rounds[Turn], reference_of: Callable[[str], str], bar: float) -> None:
    """One row a contender; the bar is judged at every number of connections."""
    print(f"\n{title}\n{'':22}{'req/s':>10}{'p50 ms':>10}{'p99 ms':>10}{'CPU µs':>10}   ratio [95 %]")
    for name in rounds.kept[0]:
        figures = [rounds.median(name, figure) for figure in (requests_per_s, p50_ms, p99_ms, cpu_us)]
        verdict = judged(rounds.ratio(name, reference_of(name), requests_per_s), bar) if "tidegate" in name else ""
        print(
            f"{name:22}" + "".join(f"{value:10.2f}" if value else f"{'–':>10}" for value in figures) + f"   {verdict}"
        )
    print(f"stolen CPU: worst kept round {max(rounds.stolen_shares):.1%}; {rounds.num_disturbed} rounds disturbed")


def judged(ratio: Interval, bar: float) -> str:
    return f"{ratio} ≥ {bar:.2f} {'met' if ratio.median >= bar else 'MISSED'}"


def p50_ms(turn: Turn) -> float:
    return turn.p50_ms


def p99_ms(turn: Turn) -> float:
    return turn.p99_ms


def cpu_us(turn: Turn) -> float:
    return turn.cpu_us


def tensor(bench: Bench) -> None:
    rounds = engine_bound(bench, "tensor", tensor_over_http(bench.server, RESNET, 224))
    print_table("ResNet-18, tensor in, HTTP binary", rounds, partial(bare_of, rounds), 0.93)


def jpeg(bench: Bench) -> None:
    rounds = engine_bound(bench, "encoded", picture_over_http(bench.server, RESNET, bench.picture.read_bytes()))
    print_table("ResNet-18, JPEG 1280×960 in, /v1 classify", rounds, partial(bare_of, rounds), 0.93)


def http(bench: Bench) -> None:
    ours = Load(run_wrk, tensor_over_http(bench.server, TINY, 64), bench.server.pid, Engine(bench, TINY))
    with echo_server("http") as (port, pid):
        request = Request(f"http://127.0.0.1:{port}/", ours.request.body, ours.request.headers)
        rounds = overhead_bound(bench, ours, Load(run_wrk, request, pid))
    print_table("0.02 ms model, 12 kB tensor in, HTTP binary", rounds, echo_of, 0.35)


def grpc(bench: Bench) -> None:
    ours = Load(run_h2load, tensor_over_grpc(bench.server, TINY, 64), bench.server.pid, Engine(bench, TINY))
    with echo_server("grpc") as (port, pid):
        request = Request(f"http://127.0.0.1:{port}{GRPC_METHOD}", ours.request.body)
        rounds = overhead_bound(bench, ours, Load(run_h2load, request, pid))
    print_table("0.02 ms model, 12 kB tensor in, gRPC", rounds, echo_of, 0.60)


def echo_of(name: str) -> str:
    return name.replace("tidegate", "echo")


SCENARIOS: Mapping[str, Callable[[Bench], None]] = {"tensor": tensor, "jpeg": jpeg, "http": http, "grpc": grpc}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=2, help="length of one turn, whole seconds")
    parser.add_argument("--only", choices=SCENARIOS, action="append", help="leave out the others; may be repeated")
    arguments = parser.parse_args()
    print(describe_machine())
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        packages, picture = scratch / "packages", scratch / "picture.jpg"
        picture.write_bytes(photograph())
        tiny_package(packages / TINY / "1")
        resnet_package(packages / RESNET / "1")
        crown(packages)
        server = stack.enter_context(tidegate_server(packages, {"TIDEGATE_CACHE_DIR": str(scratch / "cache")}))
        bench = Bench(server, packages, picture, arguments.rounds, arguments.seconds)
        for name in arguments.only or SCENARIOS:
            SCENARIOS[name](bench)


def crown(packages: Path) -> None:
    """Point every model's champion at its version 1."""
    from registry.store import LocalStore

    store = LocalStore(packages)
    for name in (TINY, RESNET):
        store.set_alias(name, "champion", "1")


if __name__ == "__main__":
    main()
