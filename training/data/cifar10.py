"""CIFAR-10 (Krizhevsky, 2009), binary version: records of one label byte and 3×32×32 pixels, plane by plane."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.errors import BadInput, NotFound
from training.data.config import Cifar10Config
from training.data.digits import encode_png
from training.data.partition import partition_examples
from training.data.source import Example, MemorySplit, SplitSource

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
RECORD_BYTES = 1 + 3 * SIDE * SIDE
TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILES = ("test_batch.bin",)


def open_cifar10(config: Cifar10Config) -> SplitSource:
    """The six files under `path`; validation is drawn from the five of training. Raises NotFound or BadInput."""
    folder = Path(config.path)
    training = read_examples(folder, TRAIN_FILES)
    splits = partition_examples(training, {"validation": config.validation_fraction}, config.seed)
    return SplitSource(LABELS, {**splits, "test": MemorySplit(read_examples(folder, TEST_FILES))})


def read_examples(folder: Path, names: Sequence[str]) -> list[Example]:
    """Every record of some files as PNG, which loses nothing."""
    return [
        Example(encode_png(np.ascontiguousarray(planes.transpose(1, 2, 0))), int(label))
        for name in names
        for label, planes in zip(*read_records(folder / name), strict=True)
    ]


def read_records(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Labels uint8 [N] and pixels uint8 [N, 3, 32, 32] of one file."""
    if not path.is_file():
        raise NotFound(f"data.path: {path} is missing; it must be a folder of the binary version of CIFAR-10")
    content = np.fromfile(path, np.uint8)
    if content.size == 0 or content.size % RECORD_BYTES:
        raise BadInput(f"{path}: {content.size} bytes are no whole number of records of {RECORD_BYTES} bytes")
    records = content.reshape(-1, RECORD_BYTES)
    if records[:, 0].max() >= len(LABELS):
        raise BadInput(f"{path}: a label above {len(LABELS) - 1}; this is not the binary version of CIFAR-10")
    return records[:, 0], records[:, 1:].reshape(-1, 3, SIDE, SIDE)
