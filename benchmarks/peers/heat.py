"""All contenders on one model: started one after the other, compared in what they answer, then timed in rounds."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.contenders import Turn
from benchmarks.peers.apps.settings import Settings
from benchmarks.peers.contender import OURS, Contender
from benchmarks.peers.running import PeerFailed, Running, answer_of, running, take_turn
from benchmarks.peers.stand import Stand
from benchmarks.peers.table import Failure, Start, load_table, start_table
from benchmarks.peers.workload import Kind, Workload
from benchmarks.processes import free_port
from benchmarks.requests import photograph, random_image
from benchmarks.rounds import Rounds, interleave
from benchmarks.serving import build_packages
from registry.package import open_package

FAILED = Turn(math.nan, math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Heat:
    """One model, what is asked of it, and of whom; ours is the first of the contenders."""

    model: str
    workloads: Sequence[Workload]
    contenders: Sequence[Contender]
    rounds: int
    seconds: int
    max_wait_ms: float


def run_heat(heat: Heat, scratch: Path) -> list[Failure]:
    """Prints the tables; who failed, and why. Raises PeerFailed if it is ours that does not start."""
    failures: list[Failure] = []
    with ExitStack() as stack:
        started = start_all(heat, scratch, stack, failures)
        starts = {up.contender.name: Start(up.first_answer_s, up.memory_mib) for up in started}
        print(f"\n## {heat.workloads[0].title.partition(',')[0]}\n\n{start_table(starts)}", flush=True)
        for workload in heat.workloads:
            agreeing = compare_answers(started, workload, failures)
            rounds = time_all(heat, workload, agreeing, failures)
            print(f"\n### {workload.title}")
            for connections in workload.connections:
                print(f"\n{load_table(at(rounds, connections), connections)}", flush=True)
            print(f"\nstolen CPU: worst kept round {max(rounds.stolen_shares):.1%}; {rounds.num_disturbed} disturbed")
    return failures


def start_all(heat: Heat, scratch: Path, stack: ExitStack, failures: list[Failure]) -> list[Running]:
    """Those that answer, in their order; each is started while those before it are paused."""
    packages = scratch / "packages"
    build_packages(packages, {heat.model})
    package = open_package(packages / heat.model / "1")
    graph = package.folder / package.manifest.variants["fp32"].graphs["main"].file
    size, max_batch = package.manifest.image_sizes[0][0], max(package.manifest.batch_buckets)
    payloads: dict[Kind, bytes] = {"tensor": random_image(size).tobytes(), "picture": photograph()}
    started = []
    for contender in heat.contenders:
        folder = scratch / contender.name
        folder.mkdir()
        settings = Settings(graph, size, max_batch, heat.max_wait_ms, free_port())
        try:
            up = running(contender, Stand(heat.model, packages, settings, folder), payloads)
            started.append(stack.enter_context(up))
            note(f"{contender.name}: first answer after {started[-1].first_answer_s:.1f} s")
        except PeerFailed as failure:
            if contender.name == OURS:
                raise
            failures.append(Failure(contender.name, f"to start with {heat.model}", str(failure)))
            note(f"{contender.name} failed: {failure}")
    return started


def compare_answers(started: Sequence[Running], workload: Workload, failures: list[Failure]) -> list[Running]:
    """Those that name the class that ours names. Raises PeerFailed if ours does not answer."""
    expected = answer_of(started[0], workload.kind)
    agreeing = [started[0]]
    for up in started[1:]:
        try:
            answer = answer_of(up, workload.kind)
            if answer != expected:
                raise PeerFailed(f"it names class {answer}, and ours {expected}")
            agreeing.append(up)
        except PeerFailed as failure:
            failures.append(Failure(up.contender.name, workload.title, str(failure)))
            note(f"{up.contender.name} failed: {failure}")
    return agreeing


def time_all(heat: Heat, workload: Workload, entered: Sequence[Running], failures: list[Failure]) -> Rounds[Turn]:
    """Every contender at every number of connections, once a round."""
    turns: dict[str, Callable[[], Turn]] = {}
    for connections in workload.connections:
        for up in entered:
            turn = partial(take_turn, up, workload.kind, connections, heat.seconds * workload.length)
            failed = partial(record, failures, up.contender.name, f"{workload.title}, {connections} connections")
            turns[key(up.contender.name, connections)] = partial(attempt, turn, failed)
    return interleave(turns, heat.rounds, note)


def attempt(turn: Callable[[], Turn], failed: Callable[[str], None]) -> Turn:
    """A failure takes its row away, not the others'."""
    try:
        return turn()
    except PeerFailed as failure:
        failed(str(failure))
        return FAILED


def record(failures: list[Failure], name: str, at: str, reason: str) -> None:
    """Once, however many rounds it fails in."""
    if not any((failure.name, failure.at) == (name, at) for failure in failures):
        failures.append(Failure(name, at, reason))
        note(f"{name} failed: {reason}")


def key(name: str, connections: int) -> str:
    return f"{name}, {connections}"


def at(rounds: Rounds[Turn], connections: int) -> Rounds[Turn]:
    """Only the turns with that many connections, by the contender's name."""
    ending = key("", connections)
    kept = tuple(
        {name.removesuffix(ending): turn for name, turn in turns.items() if name.endswith(ending)}
        for turns in rounds.kept
    )
    return Rounds(kept, rounds.stolen_shares, rounds.num_disturbed)


def note(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)
