"""Requests per second, latency and CPU cost of the server, beside what the same core does without it.

    python -m benchmarks.serving [--rounds 10] [--seconds 2] [--only tensor|jpeg|http|grpc|detect|segment]

The server has one core, the load generator (C) the other. Every contender takes its turn in every round; ratios are
taken within a round. Bars, and what they are held against:

    tensor   ResNet-18, tensor in      ≥ 0.93 of a bare ONNX Runtime loop
    jpeg     ResNet-18, JPEG 1280×960  ≥ 0.93 of a bare loop of our own decode and ONNX Runtime
    http     0.02 ms model, 12 kB      ≥ 0.35 of a bare uvicorn echo of the same body
    grpc     the same over gRPC        ≥ 0.60 of a bare grpc.aio echo of the same message
    detect   JPEG in, boxes out        ≥ 0.85 of a bare loop of decode, ONNX Runtime, suppression and JSON
    segment  JPEG in, run lengths out  ≥ 0.85 of the same with run lengths

Detector and segmenter are those of the full recipes for scenes: from the store, or trained first if it has none.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.contenders import BareLoop, Bench, Engine, Load, Turn, load_turn, run_bare
from benchmarks.load import Request, run_h2load, run_wrk
from benchmarks.machine import describe_machine
from benchmarks.packages import BUILDERS, DETECTOR, RESNET, SEGMENTER, TINY
from benchmarks.processes import echo_server, tidegate_server
from benchmarks.requests import GRPC_METHOD, photograph, picture_over_http, scene, tensor_over_grpc, tensor_over_http
from benchmarks.rounds import Interval, Rounds, interleave
from registry.store import LocalStore

CONNECTIONS = (1, 8, 32)
BARE_BATCHES = (1, 8)


def engine_bound(bench: Bench, model: str, bare: BareLoop, request: Request) -> Rounds[Turn]:
    """A model that costs far more than the server: what does the server take away from it?"""
    contenders: dict[str, Callable[[], Turn]] = {
        f"bare, batch {batch}": partial(run_bare, bare, batch, bench.seconds) for batch in BARE_BATCHES
    }
    load = Load(run_wrk, request, bench.server.pid, Engine(bench, model))
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
    bare = BareLoop(bench.package(RESNET), "tensor", bench.photograph)
    rounds = engine_bound(bench, RESNET, bare, tensor_over_http(bench.server, RESNET, 224))
    print_table("ResNet-18, tensor in, HTTP binary", rounds, partial(bare_of, rounds), 0.93)


def jpeg(bench: Bench) -> None:
    bare = BareLoop(bench.package(RESNET), "encoded", bench.photograph)
    request = picture_over_http(bench.server, RESNET, "classify", bench.photograph.read_bytes())
    rounds = engine_bound(bench, RESNET, bare, request)
    print_table("ResNet-18, JPEG 1280×960 in, /v1 classify", rounds, partial(bare_of, rounds), 0.93)


def detect(bench: Bench) -> None:
    rounds = scene_bound(bench, DETECTOR, "detect")
    print_table("Detector of scenes, JPEG 1280×960 in, boxes out", rounds, partial(bare_of, rounds), 0.85)


def segment(bench: Bench) -> None:
    rounds = scene_bound(bench, SEGMENTER, "segment")
    print_table("Segmenter of scenes, JPEG 1280×960 in, run lengths out", rounds, partial(bare_of, rounds), 0.85)


def scene_bound(bench: Bench, model: str, verb: str) -> Rounds[Turn]:
    """What follows the graph is a part of the bare sum."""
    bare = BareLoop(bench.package(model), "answered", bench.scene)
    request = picture_over_http(bench.server, model, verb, bench.scene.read_bytes())
    return engine_bound(bench, model, bare, request)


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


@dataclass(frozen=True)
class Scenario:
    """One table of the report, and the model that it asks."""

    model: str
    run: Callable[[Bench], None]


SCENARIOS: Mapping[str, Scenario] = {
    "tensor": Scenario(RESNET, tensor),
    "jpeg": Scenario(RESNET, jpeg),
    "http": Scenario(TINY, http),
    "grpc": Scenario(TINY, grpc),
    "detect": Scenario(DETECTOR, detect),
    "segment": Scenario(SEGMENTER, segment),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=2, help="length of one turn, whole seconds")
    parser.add_argument("--only", choices=SCENARIOS, action="append", help="leave out the others; may be repeated")
    arguments = parser.parse_args()
    chosen = [SCENARIOS[name] for name in arguments.only or SCENARIOS]
    print(describe_machine())
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        packages, pictures = scratch / "packages", (scratch / "photograph.jpg", scratch / "scene.jpg")
        build_packages(packages, {scenario.model for scenario in chosen})
        for picture, draw in zip(pictures, (photograph, scene), strict=True):
            picture.write_bytes(draw())
        # The bare loop runs this variant too.
        settings = {"TIDEGATE_CACHE_DIR": str(scratch / "cache"), "TIDEGATE_VARIANT": "fp32"}
        server = stack.enter_context(tidegate_server(packages, settings))
        bench = Bench(server, packages, *pictures, arguments.rounds, arguments.seconds)
        for scenario in chosen:
            scenario.run(bench)


def build_packages(packages: Path, names: set[str]) -> None:
    """A store in which every model's champion is its version 1."""
    for name in sorted(names):
        BUILDERS[name](packages / name / "1")
        LocalStore(packages).set_alias(name, "champion", "1")


if __name__ == "__main__":
    main()
