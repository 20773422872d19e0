"""Single-thread latency of all variants, measured side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from export.host_runtime import open_on_host
from tasks.task import Array

NUM_WARMUPS = 3
MIN_ROUNDS = 5


@dataclass(frozen=True)
class Timing:
    """`spread` is the interquartile range over the median: what the host's noise does to a single measurement."""

    median_ms: float
    spread: float


def measure_latency(
    graphs: Mapping[str, Path], inputs: Mapping[str, Array], batch_sizes: Sequence[int], seconds: float
) -> dict[str, dict[int, Timing]]:
    """Variant → batch size → timing, `seconds` spent on each pair. `inputs` [batch, …] of at least the largest size.

    Rounds go through all variants in turn, so that a noisy neighbour slows them alike: on shared machines, differences
    under 15 % between two runs mean nothing, within one run they come closer.
    """
    runtimes = {name: open_on_host(path) for name, path in graphs.items()}
    timings: dict[str, dict[int, Timing]] = {name: {} for name in graphs}
    for size in batch_sizes:
        feeds = {name: np.ascontiguousarray(value[:size]) for name, value in inputs.items()}
        calls = {name: partial(runtime.run, feeds) for name, runtime in runtimes.items()}
        for name, timing in time_in_turn(calls, seconds).items():
            timings[name][size] = timing
    for runtime in runtimes.values():
        runtime.close()
    return timings


def time_in_turn(calls: Mapping[str, Callable[[], object]], seconds: float) -> dict[str, Timing]:
    """Each call's time, `seconds` spent on each, all of them in turn within the same rounds."""
    for _ in range(NUM_WARMUPS):
        for call in calls.values():
            call()
    rounds: dict[str, list[float]] = {name: [] for name in calls}
    deadline = time.perf_counter() + seconds * len(calls)
    while time.perf_counter() < deadline or len(next(iter(rounds.values()))) < MIN_ROUNDS:
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            rounds[name].append((time.perf_counter() - start) * 1000)
    quartiles = {name: np.quantile(values, [0.25, 0.5, 0.75]) for name, values in rounds.items()}
    return {name: Timing(float(mid), float((high - low) / mid)) for name, (low, mid, high) in quartiles.items()}
