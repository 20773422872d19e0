"""Requests per second, latency, CPU, memory and start of our server, beside the servers that people use now.

    python -m benchmarks.peers [--rounds 3] [--seconds 1] [--only tensor|jpeg|small] [--server litserve …]

The peers need environments of their own: make peers-env. All serve the same graph with one thread of ONNX Runtime, on
one core; the load generator (C) has the other. Every server takes its turn in every round while the others are paused;
ratios are taken within a round. Before anything is timed, each must name the class that ours names. Who cannot be
started, answers otherwise or fails under load is listed with the reason.

    tensor   ResNet-18, tensor in, 8 and 32 connections
    jpeg     ResNet-18, JPEG 1280×960 in, 8 and 32 connections
    small    0.02 ms model, 12 kB tensor in, 1, 8 and 32 connections

Turns with ResNet-18 are four times as long as `--seconds`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.peers.contender import OURS
from benchmarks.peers.heat import Heat, run_heat
from benchmarks.peers.roster import CONTENDERS, PEERS
from benchmarks.peers.table import Failure, failure_list, roster_table
from benchmarks.peers.workload import WORKLOADS, Workload


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=1, help="length of one turn, whole seconds")
    parser.add_argument("--only", choices=WORKLOADS, action="append", help="leave out the others; may be repeated")
    parser.add_argument("--server", choices=PEERS, action="append", help="beside ours; may be repeated; default: all")
    parser.add_argument("--max-wait-ms", type=float, default=2.0, help="how long the peers' batches may gather")
    return parser.parse_args(arguments)


def by_model(names: Sequence[str]) -> dict[str, list[Workload]]:
    """Servers start once for each model."""
    models: dict[str, list[Workload]] = {}
    for name in names:
        models.setdefault(WORKLOADS[name].model, []).append(WORKLOADS[name])
    return models


def main() -> int:
    """The exit status counts those that failed."""
    arguments = parsed()
    contenders = [known for known in CONTENDERS if known.name in (OURS, *(arguments.server or PEERS))]
    print(describe_machine())
    print(f"\n{roster_table(contenders)}")
    failures: list[Failure] = []
    for model, workloads in by_model(arguments.only or list(WORKLOADS)).items():
        with tempfile.TemporaryDirectory() as scratch:
            heat = Heat(model, workloads, contenders, arguments.rounds, arguments.seconds, arguments.max_wait_ms)
            failures += run_heat(heat, Path(scratch))
    if failures:
        print(f"\n{failure_list(failures)}")
    return len(failures)


if __name__ == "__main__":
    sys.exit(main())
