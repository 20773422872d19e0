"""The signals of many pictures, through the real decoder and a real classifier, computed once and kept.

A picture costs milliseconds and a drift trial hundreds of pictures, so trials draw from a pool. Pictures come from
the unlimited generator (`SceneSource.stream`), each once.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.corruptions import CORRUPTIONS, corrupt_payload
from registry.package import open_package
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.task import Category, Observation, Scalar, SignalSpec, Task, open_task
from training.data.cache import cache_key, cached_folder
from training.data.config import ScenesConfig
from training.data.scene_source import SceneSource, generator_facts
from training.data.source import SplitName
from training.progress import track

CHUNK = 500
BATCH = 50
SPLIT: SplitName = "test"
"""Reference and live pictures are made of the same held-out scans and photographs: only then is "clean" clean."""


@dataclass(frozen=True)
class SignalPool:
    """`values` [pictures, signals] in the order of `specs` (a category is its index), true classes `targets`."""

    specs: dict[str, SignalSpec]
    values: NDArray[np.float64]
    targets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def accuracy(self) -> float:
        """Share of pictures whose predicted class is the true one."""
        return float((self.values[:, list(self.specs).index("predicted_class")] == self.targets).mean())

    def observations(self, indices: NDArray[np.int64]) -> Iterator[dict[str, Observation]]:
        """The pictures at `indices` as the server would hand them to the monitor."""
        scalar = [spec.kind == "scalar" for spec in self.specs.values()]
        for row in self.values[indices].tolist():
            yield {
                name: Scalar(value) if is_scalar else Category(int(value))
                for name, is_scalar, value in zip(self.specs, scalar, row, strict=True)
            }


@dataclass(frozen=True)
class Order:
    """What one worker does: pictures `CHUNK` of stream `seed`, corrupted by name (or "clean")."""

    package: Path
    variant: str
    corruption: str
    seed: int


def open_pool(package: Path, variant: str, corruption: str, size: int, first_seed: int) -> SignalPool:
    """At least `size` pictures, from the cache where this very pool was computed before."""
    opened = open_package(package)
    key = cache_key(opened.digest, variant, corruption, size, first_seed, *generator_facts())

    def build(folder: Path) -> None:
        orders = [Order(package, variant, corruption, first_seed + i) for i in range(-(-size // CHUNK))]
        # Workers start afresh: a fork of a process that runs threads may hang.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(len(os.sched_getaffinity(0)), context) as workers:
            parts = list(track(workers.map(compute_chunk, orders), f"signals: {corruption}", len(orders)))
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "targets.npy", np.concatenate([targets for _, targets in parts]))
        np.save(folder / "values.npy", np.concatenate([values for values, _ in parts]))

    folder = cached_folder("signals", key, "values.npy", build)
    specs = dict(open_task(opened.task_spec_of(variant)).signal_specs())
    return SignalPool(specs, np.load(folder / "values.npy", mmap_mode="r"), np.load(folder / "targets.npy"))


@cache
def open_model(package: Path, variant: str) -> tuple[Task, OnnxRuntime]:
    """Task and runtime of this worker process."""
    opened = open_package(package)
    return open_task(opened.task_spec_of(variant)), OnnxRuntime(opened.graph_path(variant))


def compute_chunk(order: Order) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Signals [CHUNK, signals] and true classes [CHUNK] of one order."""
    task, runtime = open_model(order.package, order.variant)
    names, rows, targets = list(task.signal_specs()), [], []
    rng = np.random.default_rng(order.seed)
    stream = SceneSource(ScenesConfig()).stream(SPLIT, order.seed)
    for _ in range(CHUNK // BATCH):
        examples = list(islice(stream, BATCH))
        payloads = [example.payload for example in examples]
        if order.corruption in CORRUPTIONS:
            payloads = [corrupt_payload(payload, CORRUPTIONS[order.corruption], rng) for payload in payloads]
        for observation in observe_batch(task, runtime, payloads):
            rows.append([observed_number(observation[name]) for name in names])
        targets += [example.target for example in examples]
    return np.array(rows), np.array(targets)


def observe_batch(task: Task, runtime: OnnxRuntime, payloads: list[bytes]) -> Iterator[dict[str, Observation]]:
    """What monitoring sees of each encoded picture."""
    samples = [task.sample_from_bytes(payload) for payload in payloads]
    tensors = [task.preprocess(sample) for sample in samples]
    outputs = runtime.run({"image": np.stack([tensor["image"] for tensor in tensors])})
    params = task.parse_params({})
    for index, (sample, tensor) in enumerate(zip(samples, tensors, strict=True)):
        own = {name: values[index] for name, values in outputs.items()}
        yield task.signals(sample, tensor, own, task.decode_output(own, sample, params))


def observed_number(observation: Observation) -> float:
    """A scalar's value or a category's index."""
    if isinstance(observation, Scalar):
        return observation.value
    assert isinstance(observation, Category), "pools hold scalars and categories"
    return float(observation.class_id)
