"""The signals of many pictures, through the real decoder and a real model, computed once and kept.

A picture costs milliseconds and a drift trial hundreds of pictures, so trials draw from a pool. Pictures come from
the unlimited generator (`SceneSource.stream`), each once, as the recipe of the package has them.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

import tasks
from benchmarks import corruptions
from benchmarks.corruptions import CORRUPTIONS, corrupt_payload
from export.judge import open_judge
from registry.package import ModelPackage, open_package
from serving.open_runtime import open_runtime
from serving.runtimes.compute_threads import ONE_THREAD
from serving.runtimes.runtime import Runtime
from tasks.errors import BadInput
from tasks.task import Category, Observation, Scalar, SignalSpec, Task, WeightedBins, open_task
from training.data.cache import cache_key, cached_folder
from training.data.config import ScenesConfig
from training.data.scene_source import SceneSource, generator_facts
from training.data.source import Example, SplitName
from training.progress import track

CHUNK = 300
BATCH = 50
JUDGED_CHUNKS = 2
"""Chunks whose answers are judged by the truth: that costs more than the signals do."""
SPLIT: SplitName = "test"
"""Reference and live pictures are made of the same held-out scans and photographs: only then is "clean" clean."""
CLEAN = "clean"

Values = NDArray[np.float64]


class Traffic(NamedTuple):
    """What kind of pictures come in: scenes without some digits, corrupted by name."""

    corruption: str = CLEAN
    without: tuple[int, ...] = ()


@dataclass(frozen=True)
class SignalPool:
    """`values` [pictures, columns]: see `columns_of`; NaN where a picture does not have a signal. `quality`: how good
    the model's answers to such pictures are, in the metric of its task."""

    specs: Mapping[str, SignalSpec]
    values: Values
    quality: float = float("nan")

    def __len__(self) -> int:
        return len(self.values)

    def observations(self, indices: NDArray[np.int64]) -> Iterator[dict[str, Observation]]:
        """The pictures at `indices` as the server would hand them to the monitor."""
        rows = self.values[indices]
        by_signal = [signal_values(spec, rows[:, part]) for spec, part in columns_of(self.specs)]
        for picture in zip(*by_signal, strict=True):
            yield {name: seen for name, seen in zip(self.specs, picture, strict=True) if seen is not None}


def columns_of(specs: Mapping[str, SignalSpec]) -> Iterator[tuple[SignalSpec, slice]]:
    """The columns of each signal, in the order of `specs`: one, or one for each category of a weighted signal."""
    start = 0
    for spec in specs.values():
        width = len(spec.categories) if spec.kind == "weighted" else 1
        yield spec, slice(start, start + width)
        start += width


def signal_values(spec: SignalSpec, rows: Values) -> list[Observation | None]:
    """Columns [pictures, width] of one signal → what each picture has of it."""
    absent = np.isnan(rows[:, 0]).tolist()
    if spec.kind == "weighted":
        return [None if gone else WeightedBins(row) for gone, row in zip(absent, rows, strict=True)]
    values = rows[:, 0].tolist()
    if spec.kind == "scalar":
        return [None if gone else Scalar(value) for gone, value in zip(absent, values, strict=True)]
    return [None if gone else Category(int(value)) for gone, value in zip(absent, values, strict=True)]


def picture_row(specs: Mapping[str, SignalSpec], observations: Mapping[str, Observation]) -> Values:
    """The inverse: one picture → its row [columns]."""
    parts = list(columns_of(specs))
    row = np.full(parts[-1][1].stop, np.nan)
    for name, (_, part) in zip(specs, parts, strict=True):
        if name in observations:
            row[part] = observations[name][0]
            assert np.isfinite(row[part]).all(), f"signal {name}: a pool cannot tell {row[part]} from none"
    return row


class Model(NamedTuple):
    """A package and which of its variants answers."""

    package: Path
    variant: str


@dataclass(frozen=True)
class Order:
    """What one worker does: the signals of the first CHUNK pictures of stream `seed`, and their quality if `judged`."""

    model: Model
    traffic: Traffic
    seed: int
    judged: bool


def open_pool(model: Model, traffic: Traffic, size: int, first_seed: int) -> SignalPool:
    """At least `size` pictures, from the cache where this very pool was computed before."""
    opened = open_package(model.package)
    facts = generator_facts(scenes_of(opened).max_digits)
    key = cache_key(opened.digest, model.variant, traffic, CHUNK, size, first_seed, *facts, code_digest())

    def build(folder: Path) -> None:
        orders = [Order(model, traffic, first_seed + i, i < JUDGED_CHUNKS) for i in range(-(-size // CHUNK))]
        # Workers start afresh: a fork of a process that runs threads may hang.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(len(os.sched_getaffinity(0)), context) as workers:
            parts = list(track(workers.map(compute_chunk, orders), f"signals: {traffic.corruption}", len(orders)))
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "quality.npy", np.mean([quality for _, quality in parts if quality is not None]))
        np.save(folder / "values.npy", np.concatenate([values for values, _ in parts]))

    folder = cached_folder("signals", key, "values.npy", build)
    specs = dict(open_task(opened.task_spec_of(model.variant)).signal_specs())
    return SignalPool(specs, np.load(folder / "values.npy", mmap_mode="r"), float(np.load(folder / "quality.npy")))


def scenes_of(package: ModelPackage) -> ScenesConfig:
    """The scenes that a package was trained on. Raises BadInput where it was trained on anything else."""
    data = package.manifest.lineage.recipe.get("training", {}).get("data", {})
    if data.get("source") != "scenes":
        raise BadInput(f"{package.folder}: expected a package trained on scenes, its recipe says {data.get('source')}")
    return msgspec.convert(data, ScenesConfig)


@cache
def code_digest() -> str:
    """Of everything here that decides what a signal is."""
    files = [*sorted(Path(tasks.__path__[0]).glob("*.py")), Path(corruptions.__file__)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@cache
def open_model(model: Model) -> tuple[Task, Runtime, SceneSource]:
    """Task, runtime and pictures of this worker process."""
    opened = open_package(model.package)
    task, runtime = open_task(opened.task_spec_of(model.variant)), open_runtime(opened, model.variant, ONE_THREAD)
    return task, runtime, SceneSource(scenes_of(opened))


def compute_chunk(order: Order) -> tuple[Values, float | None]:
    """Signals [CHUNK, columns] of one order, and the quality of the answers if that was asked for."""
    task, runtime, source = open_model(order.model)
    rng, specs, rows = np.random.default_rng(order.seed), task.signal_specs(), []
    stream = source.stream(SPLIT, order.seed, order.traffic.without)
    judge, default = open_judge(task), task.parse_params({})
    for _ in range(CHUNK // BATCH):
        examples = list(islice(stream, BATCH))
        payloads = [corrupted(example, order.traffic.corruption, rng) for example in examples]
        samples = [task.sample_from_bytes(payload) for payload in payloads]
        tensors = [task.preprocess(sample) for sample in samples]
        outputs = runtime.run({"image": np.stack([tensor["image"] for tensor in tensors])})
        for i, (sample, tensor) in enumerate(zip(samples, tensors, strict=True)):
            own = {name: values[i] for name, values in outputs.items()}
            seen = task.signals(sample, tensor, own, task.decode_output(own, sample, default))
            rows.append(picture_row(specs, seen))
            if order.judged:
                answer = task.decode_output(own, sample, task.parse_params(judge.params))
                judge.add(answer, answer, examples[i].target)
    return np.array(rows), judge.metrics()[judge.metric] if order.judged else None


def corrupted(example: Example, corruption: str, rng: np.random.Generator) -> bytes:
    """The encoded picture as it comes in."""
    return example.payload if corruption == CLEAN else corrupt_payload(example.payload, CORRUPTIONS[corruption], rng)
