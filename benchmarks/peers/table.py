"""The report, as Markdown: one table for each number of connections, then what starting costs, then who did not take
part and why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks.contenders import Turn
from benchmarks.peers.contender import OURS, Contender
from benchmarks.rounds import Rounds


class Start(NamedTuple):
    """What a server costs before it is asked anything more than once."""

    first_answer_s: float
    memory_mib: float


class Failure(NamedTuple):
    """Who failed at what, and the reason."""

    name: str
    at: str
    reason: str


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]], figures: str = "--:") -> str:
    """The first column is text; `figures`: how the others are aligned."""
    rule = ["---", *[figures] * (len(columns) - 1)]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in (columns, rule, *rows))


def figure(value: float) -> str:
    """Three digits that count; thousands have a comma."""
    if math.isnan(value):
        return "failed"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def load_table(rounds: Rounds[Turn], connections: int) -> str:
    """Everybody at one number of connections, ours first. `ours / theirs`: requests a second, within a round."""
    rows = []
    for name in rounds.kept[0]:
        figures = [
            rounds.median(name, lambda turn: turn.requests_per_s),
            rounds.median(name, lambda turn: turn.p50_ms),
            rounds.median(name, lambda turn: turn.p99_ms),
            rounds.median(name, lambda turn: turn.cpu_us),
        ]
        has_failed = any(math.isnan(kept[name].requests_per_s) for kept in rounds.kept)
        if has_failed:
            rows.append([name, *["failed"] * len(figures), "–"])
        else:
            rows.append([name, *map(figure, figures), "1" if name == OURS else ratio(rounds, name)])
    head = "1 connection" if connections == 1 else f"{connections} connections"
    return markdown([head, "req/s", "p50 ms", "p99 ms", "CPU µs", "ours / theirs [95 %]"], rows)


def ratio(rounds: Rounds[Turn], name: str) -> str:
    """How many times as many requests we answer."""
    ours_failed = any(math.isnan(kept[OURS].requests_per_s) for kept in rounds.kept)
    return "–" if ours_failed else str(rounds.ratio(OURS, name, lambda turn: turn.requests_per_s))


def start_table(starts: Mapping[str, Start]) -> str:
    rows = [[name, figure(start.first_answer_s), figure(start.memory_mib)] for name, start in starts.items()]
    return markdown(["", "first answer s", "memory MiB"], rows)


def roster_table(contenders: Sequence[Contender]) -> str:
    rows = [[contender.name, contender.version(), contender.manner] for contender in contenders]
    return markdown(["", "version", "bodies and batches"], rows, "---")


def failure_list(failures: Sequence[Failure]) -> str:
    return "\n".join(f"- **{failure.name}**, {failure.at}: {failure.reason}" for failure in failures)
