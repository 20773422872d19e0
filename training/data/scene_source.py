"""The `scenes` source: unlimited, seeded, generated in parallel, cached on disk.

Scans and photographs are split before anything is composed of them, so no validation or test picture contains a
stroke or a pixel that training has seen.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

from training.data.annotated_scene import ANNOTATION_VERSION, MASK_LABELS, compose_annotated_scene
from training.data.archive import ArchiveSplit, write_archive
from training.data.cache import cache_key, cached_folder
from training.data.config import ScenesConfig
from training.data.digits import DIGIT_LABELS, load_scans
from training.data.partition import partition_indices
from training.data.photographs import load_photographs
from training.data.scene import GENERATOR_VERSION, Ingredients, compose_scene
from training.data.source import SPLITS, AnnotatedSource, Example, SplitName, digest_splits
from training.progress import track

CHUNK = 250
"""Pictures a worker makes at a time."""
SCAN_FRACTIONS = {"validation": 0.15, "test": 0.15}
SCAN_SEED = 0
"""Which scans belong to which split never changes, whatever the recipe's seed."""
CACHED_PURPOSE, STREAM_PURPOSE = 0, 1
"""First word of every picture's seed: a stream never repeats a picture of the cached splits."""


def open_scenes(config: ScenesConfig) -> SceneSource:
    """One digit to a picture and its class, or several digits and annotations."""
    return AnnotatedSceneSource(config) if config.max_digits > 1 else SceneSource(config)


class SceneSource:
    """Digits on photographs. Splits are generated when first asked for; `stream` needs none of them."""

    def __init__(self, config: ScenesConfig) -> None:
        self._config = config
        self._splits: dict[SplitName, ArchiveSplit] = {}

    @property
    def labels(self) -> tuple[str, ...]:
        return DIGIT_LABELS

    @property
    def digest(self) -> str:
        return digest_splits(self.labels, [self.split(name).digest for name in SPLITS])

    def split(self, name: SplitName) -> ArchiveSplit:
        if name not in self._splits:
            facts = name, self._size(name), self._config.seed, *generator_facts(self._config.max_digits)
            folder = cached_folder("scenes", cache_key(*facts), "split.json", partial(self._generate, name))
            self._splits[name] = ArchiveSplit(folder)
        return self._splits[name]

    def stream(self, split: SplitName, seed: int, without: Collection[int] = ()) -> Iterator[Example]:
        """Scenes of a split's ingredients without end, none of them in a cached split. Same seed, same pictures.
        The digits `without` never appear; others take their place."""
        ingredients = load_ingredients(split).without(without)
        index = 0
        while True:
            yield compose(ingredients, scene_rng(STREAM_PURPOSE, split, seed, index), self._config.max_digits)
            index += 1

    def _size(self, name: SplitName) -> int:
        sizes = {"train": self._config.train_size, "validation": self._config.validation_size}
        return sizes.get(name, self._config.test_size)

    def _generate(self, name: SplitName, folder: Path) -> None:
        make = partial(compose_chunk, self._config, name, self._size(name))
        starts = range(0, self._size(name), CHUNK)
        if len(starts) == 1:
            # Sooner made here than a worker has started.
            write_archive(folder, make(0))
            return
        workers = min(len(os.sched_getaffinity(0)), len(starts))
        # Workers start afresh: a fork of a process that runs threads (torch) may hang.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, end_with_parent) as pool:
            chunks = track(pool.map(make, starts), f"generating {name} scenes", len(starts))
            write_archive(folder, (example for chunk in chunks for example in chunk))


class AnnotatedSceneSource(SceneSource, AnnotatedSource):
    """Several digits to a picture, with boxes, masks and captions."""

    @property
    def mask_labels(self) -> tuple[str, ...]:
        return MASK_LABELS


def end_with_parent() -> None:
    """In a worker: those of a process that was killed would wait for work for ever, and keep its output open."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def generator_facts(max_digits: int = 1) -> tuple[object, ...]:
    """All that decides what a scene looks like, besides its seed."""
    packages = ("numpy", "pillow", "scikit-learn", "scikit-image")
    several = (max_digits, ANNOTATION_VERSION) if max_digits > 1 else ()
    return GENERATOR_VERSION, *(version(package) for package in packages), *several


def scene_rng(purpose: int, split: SplitName, seed: int, index: int) -> np.random.Generator:
    """The random numbers of one picture, independent of how many processes share the work."""
    return np.random.default_rng((purpose, SPLITS.index(split), seed, index))


def compose(ingredients: Ingredients, rng: np.random.Generator, max_digits: int) -> Example:
    """One picture of the kind that has up to `max_digits`."""
    if max_digits == 1:
        return compose_scene(ingredients, rng)
    return compose_annotated_scene(ingredients, rng, max_digits)


def compose_chunk(config: ScenesConfig, split: SplitName, size: int, start: int) -> list[Example]:
    """Up to CHUNK pictures of a cached split, from picture `start` on. Runs in a worker process."""
    ingredients = load_ingredients(split)
    indices = range(start, min(start + CHUNK, size))
    rngs = (scene_rng(CACHED_PURPOSE, split, config.seed, index) for index in indices)
    return [compose(ingredients, rng, config.max_digits) for rng in rngs]


@cache
def load_ingredients(split: SplitName) -> Ingredients:
    """Scans and photographs of one split; kept, because every chunk of a worker needs them."""
    scans, digits = load_scans()
    part = list(partition_indices(digits.tolist(), SCAN_FRACTIONS, SCAN_SEED)[split])
    return Ingredients(scans[part], digits[part], load_photographs(split))
