"""A server that takes part: how it is started, how it is asked, and what a reader of the figures has to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import distributions
from typing import Literal

from benchmarks.peers.call import Call
from benchmarks.peers.stand import ENVIRONMENTS, Stand
from benchmarks.peers.workload import Kind

OURS = "tidegate"


def nothing(stand: Stand) -> None:
    """Most servers need no files of their own."""


@dataclass(frozen=True)
class Contender:
    """`distribution`: what its version is read from, in its own environment, which has its name; `manner`: how bodies
    travel and batches form; `prepare`: writes what the server reads, into the stand's folder; `between_turns`: paused,
    so that not a cycle is taken from the others, or idle: Triton's Python backend crashes when it was paused for some
    seconds, and costs nothing while nobody asks."""

    name: str
    distribution: str
    manner: str
    command: Callable[[Stand], list[str]]
    call: Callable[[Stand, Kind, bytes], Call]
    prepare: Callable[[Stand], None] = nothing
    variables: Mapping[str, str] = field(default_factory=dict)
    between_turns: Literal["paused", "idle"] = "paused"

    def version(self) -> str:
        """As installed; "–" for ours, which is this checkout, and for what is not installed."""
        folders = (ENVIRONMENTS / self.name / "lib").glob("python3.*/site-packages")
        found = [there for folder in folders for there in distributions(name=self.distribution, path=[str(folder)])]
        return found[0].version if found else "–"
