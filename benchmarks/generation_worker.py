"""One engine in a process of its own, so that the threads of one do not get into the way of another's.

    python -m benchmarks.generation_worker ENGINE FOLDER

Reads a job a line from standard input, {"job": name, …its arguments}, and answers each with a line of JSON.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import numpy as np

from benchmarks.generation_engine import Engine
from benchmarks.generation_peers import Genai, Tokens, Transformers
from benchmarks.language_model import VOCABULARY

NUM_THREADS = min(2, len(os.sched_getaffinity(0)))
OURS, SPINNING, TRANSFORMERS, GENAI = "tidegate", "tidegate, spinning", "transformers", "onnxruntime-genai"
MEMORY = "memory"
NUM_READS = 5


def generation_jobs(generate: Callable[[Tokens, int], Tokens]) -> dict[str, Callable[..., Any]]:
    """What every engine can be asked."""

    def tokens(seed: int) -> list[int]:
        """Greedy answers, to be compared between engines."""
        answers: list[int] = generate(prompts(4, 32, seed), 24).ravel().tolist()
        return answers

    def rate(rows: int, num_new: int, seed: int) -> dict[str, float]:
        """Tokens a second: in all, and after the first token of each row."""
        first_s = timed(generate, prompts(rows, 32, seed), 1)
        total_s = timed(generate, prompts(rows, 32, seed + 1), num_new)
        return {"whole": rows * num_new / total_s, "decoding": rows * (num_new - 1) / (total_s - first_s)}

    return {"tokens": tokens, "rate": rate}


def open_jobs(engine: str, folder: Path) -> dict[str, Callable[..., Any]]:
    """The jobs that an engine knows."""
    if engine == MEMORY:
        return {"read": memory_reader()}
    if engine == TRANSFORMERS:
        return generation_jobs(Transformers(folder, NUM_THREADS).generate)
    if engine == GENAI:
        return generation_jobs(Genai(folder, NUM_THREADS).generate)
    ours = Engine(folder, NUM_THREADS, "spin" if engine == SPINNING else "sleep")

    def gaps(arrivals: bool, seed: int) -> dict[str, float]:
        """Milliseconds from token to token."""
        found = ours.token_gaps_s(4, 160, arrivals, seed) * 1000
        return {"median": float(np.median(found)), "p99": float(np.percentile(found, 99))}

    jobs: dict[str, Callable[..., Any]] = {"gaps": gaps, "step": ours.step_ms, "first_token": ours.first_token_ms}
    return {**generation_jobs(ours.generate), **jobs}


def memory_reader() -> Callable[[int], float]:
    """Bytes a second that these threads read, of as many bytes as asked for."""
    import torch

    torch.set_num_threads(NUM_THREADS)
    buffers: dict[int, torch.Tensor] = {}

    def read(num_bytes: int) -> float:
        buffer = buffers.setdefault(num_bytes, torch.ones(num_bytes // 4))
        return num_bytes / min(timed(buffer.sum) for _ in range(NUM_READS))

    return read


def prompts(rows: int, length: int, seed: int) -> Tokens:
    """[rows, length]"""
    return np.random.default_rng(seed).integers(3, VOCABULARY, (rows, length))


def timed(work: Callable[..., Any], *arguments: Any) -> float:
    started_at = perf_counter()
    work(*arguments)
    return perf_counter() - started_at


def main(engine: str, folder: str) -> None:
    jobs = open_jobs(engine, Path(folder))
    print('"ready"', flush=True)
    for line in sys.stdin:
        job = msgspec.json.decode(line)
        answer = jobs[job.pop("job")](**job)
        print(msgspec.json.encode(answer).decode(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
