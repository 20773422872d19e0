"""Promote a new version under load: no request may be lost, and the old version's callers should not notice.

    python -m benchmarks.swap [--swaps 5]

Eight callers (tritonclient, HTTP) keep a ResNet-18 busy while `champion` moves to and fro between two versions. Prints
p50 and p99 of the answers that fell before, during (alias moved until first answer of the new version, loading
included) and after the swaps.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tritonclient.http.aio as triton

from benchmarks.machine import describe_machine
from benchmarks.packages import RESNET, resnet_package
from benchmarks.processes import Server, tidegate_server
from benchmarks.requests import random_image
from registry.package import seal_package
from registry.store import LocalStore

CONNECTIONS = 8
SETTLE_S = 5.0


@dataclass(frozen=True)
class Answer:
    """One answered request: when it was sent and answered (seconds, monotonic), and by which version."""

    sent_s: float
    answered_s: float
    version: str


@dataclass
class Log:
    """Everything that happened. `swaps`: when the alias moved, and when the new version first answered."""

    answers: list[Answer] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    swaps: list[tuple[float, float]] = field(default_factory=list)


async def call_until(server: Server, finished: asyncio.Event, log: Log) -> None:
    """One caller: the next request goes out when the last was answered."""
    async with triton.InferenceServerClient(f"127.0.0.1:{server.http_port}") as client:
        wanted = triton.InferInput("image", [1, 224, 224, 3], "UINT8")
        wanted.set_data_from_numpy(random_image(224))
        while not finished.is_set():
            sent_s = time.monotonic()
            try:
                answer = await client.infer(RESNET, [wanted])
                log.answers.append(Answer(sent_s, time.monotonic(), answer.get_response()["model_version"]))
            except Exception as error:  # every failure is counted, whatever its kind
                log.failures.append(repr(error))


async def swap_under_load(server: Server, store: LocalStore, num_swaps: int) -> Log:
    log, finished = Log(), asyncio.Event()
    callers = [asyncio.create_task(call_until(server, finished, log)) for _ in range(CONNECTIONS)]
    await asyncio.sleep(SETTLE_S)
    for index in range(num_swaps):
        version = "2" if index % 2 == 0 else "1"
        moved_s = time.monotonic()
        store.set_alias(RESNET, "champion", version)
        while not (log.answers and log.answers[-1].version == version):
            await asyncio.sleep(0.02)
            if time.monotonic() - moved_s > 120:
                raise RuntimeError(f"version {version} never answered; failures: {log.failures[:3]}")
        log.swaps.append((moved_s, log.answers[-1].answered_s))
        print(f"swap {index + 1}/{num_swaps}: new version answers after {log.swaps[-1][1] - moved_s:.1f} s", flush=True)
        await asyncio.sleep(SETTLE_S)
    finished.set()
    await asyncio.gather(*callers)
    return log


def print_phases(log: Log) -> None:
    """Answers by phase: before the first swap, overlapping a swap, between and after swaps."""

    def overlaps(answer: Answer) -> bool:
        return any(answer.answered_s >= start and answer.sent_s <= end for start, end in log.swaps)

    phases = {
        "before": [a for a in log.answers if a.answered_s < log.swaps[0][0]],
        "during": [a for a in log.answers if overlaps(a)],
        "after": [a for a in log.answers if a.sent_s > log.swaps[0][1] and not overlaps(a)],
    }
    print(f"\n{'':10}{'answers':>10}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}")
    for name, answers in phases.items():
        latencies = np.array([a.answered_s - a.sent_s for a in answers]) * 1000
        p50, p99 = np.percentile(latencies, [50, 99])
        print(f"{name:10}{len(answers):10}{p50:10.1f}{p99:10.1f}{latencies.max():10.1f}")
    verdict = "met" if not log.failures else "MISSED: " + "; ".join(sorted(set(log.failures))[:3])
    print(
        f"bar: no request lost in {len(log.answers)} over {len(log.swaps)} swaps: {len(log.failures)} lost: {verdict}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=5)
    arguments = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as scratch:
        packages = Path(scratch) / "packages"
        first = resnet_package(packages / RESNET / "1")
        shutil.copytree(first.folder, packages / RESNET / "2")
        seal_package(packages / RESNET / "2", first.manifest)
        store = LocalStore(packages)
        store.set_alias(RESNET, "champion", "1")
        settings = {"TIDEGATE_CACHE_DIR": str(Path(scratch) / "cache"), "TIDEGATE_POLL_INTERVAL_S": "0.5"}
        with tidegate_server(packages, settings) as server:
            print_phases(asyncio.run(swap_under_load(server, store, arguments.swaps)))


if __name__ == "__main__":
    main()
