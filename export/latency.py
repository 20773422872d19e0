"""Single-thread latency of all variants, measured side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serving.runtimes.onnx_runtime import OnnxRuntime
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
    runtimes = {name: OnnxRuntime(path, num_threads=1) for name, path in graphs.items()}
    timings: dict[str, dict[int, Timing]] = {name: {} for name in graphs}
    for size in batch_sizes:
        feeds = {name: np.ascontiguousarray(value[:size]) for name, value in inputs.items()}
        for _ in range(NUM_WARMUPS):
            for runtime in runtimes.values():
                runtime.run(feeds)
        rounds: dict[str, list[float]] = {name: [] for name in graphs}
        deadline = time.perf_counter() + seconds * len(graphs)
        while time.perf_counter() < deadline or len(next(iter(rounds.values()))) < MIN_ROUNDS:
            for name, runtime in runtimes.items():
                start = time.perf_counter()
                runtime.run(feeds)
                rounds[name].append((time.perf_counter() - start) * 1000)
        for name, values in rounds.items():
            low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
            timings[name][size] = Timing(float(median), float((high - low) / median))
    for runtime in runtimes.values():
        runtime.close()
    return timings
