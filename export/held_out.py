"""Held-out examples, drawn once and decoded once, for the trained model and all variants together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from export.subject import Example, Examples
from tasks.task import Array, Sample, Task

BATCH_SIZE = 64


@dataclass(frozen=True, slots=True)
class Item:
    """One decoded example. `tensors` are the graph's inputs, without batch axis."""

    example: Example
    sample: Sample
    tensors: dict[str, Array]


def draw(examples: Examples, count: int, seed: int) -> list[Example]:
    """At most `count` examples without replacement: data sets often come sorted by class."""
    return [examples[index] for index in draw_indices(len(examples), count, seed)]


def draw_indices(num_examples: int, count: int, seed: int) -> list[int]:
    """Of the examples that `draw` gives, in its order."""
    order: list[int] = np.random.default_rng(seed).permutation(num_examples)[:count].tolist()
    return order


def decode_batches(task: Task, examples: Sequence[Example], batch_size: int = BATCH_SIZE) -> Iterator[tuple[Item, ...]]:
    """Examples in order, decoded on every core. At most two batches are held: pictures may be large."""

    def decode(example: Example) -> Item:
        sample = task.sample_from_bytes(example.payload)
        return Item(example, sample, task.preprocess(sample))

    with ThreadPoolExecutor(num_cores()) as pool:
        for start in range(0, len(examples), batch_size):
            yield tuple(pool.map(decode, examples[start : start + batch_size]))


def stack(items: Sequence[Item]) -> dict[str, Array]:
    """Input tensors with a batch axis."""
    return {name: np.stack([item.tensors[name] for item in items]) for name in items[0].tensors}


def run_capped(
    run: Callable[[Mapping[str, Array]], dict[str, Array]], tensors: Mapping[str, Array], max_batch: int | None
) -> dict[str, Array]:
    """Runs a batch in pieces of at most `max_batch`, which some graphs fix."""
    total = len(next(iter(tensors.values())))
    step = max_batch or total
    parts = [run({k: v[i : i + step] for k, v in tensors.items()}) for i in range(0, total, step)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
