"""Encoded examples → the tensors a network trains on, by the task and nothing else.

Splits that fit are decoded once and kept as one array on disk, read by memory map; larger ones are decoded in worker
processes every time they are needed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.task import Task, TaskSpec, open_task
from training.data.cache import cache_key, cached_folder
from training.data.source import Split
from training.progress import track

DECODER_VERSION = 1
"""Raised whenever tasks/image.py would decode or resize a picture differently."""
MAX_CACHED_BYTES = 4 * 1024**3
"""Splits beyond this many bytes of decoded pixels are streamed."""

Batch = tuple[Tensor, Tensor]


class CachedPixels(torch.utils.data.Dataset[Batch]):
    """Every picture of a split decoded: uint8 [N, H, W, 3] in a memory map, targets int64 [N]."""

    num_workers = 0

    def __init__(self, path: Path, targets: Sequence[int]) -> None:
        self._pixels: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
        self._targets = np.asarray(targets, np.int64)

    def __len__(self) -> int:
        return len(self._targets)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> Batch:
        """A whole batch at once: images uint8 [B, H, W, 3], targets int64 [B]."""
        return torch.from_numpy(self._pixels[indices]), torch.from_numpy(self._targets[indices])


class StreamedPixels(torch.utils.data.Dataset[Batch]):
    """A split decoded while it is trained on, in worker processes."""

    num_workers = len(os.sched_getaffinity(0))

    def __init__(self, split: Split, spec: TaskSpec) -> None:
        self._split = split
        self._task = open_task(spec)

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> Batch:
        """A whole batch at once: images uint8 [B, H, W, 3], targets int64 [B]."""
        examples = [self._split[index] for index in indices]
        images = np.stack([preprocess_payload(self._task, example.payload) for example in examples])
        return torch.from_numpy(images), torch.tensor([example.target for example in examples])


PixelDataset = CachedPixels | StreamedPixels


def open_pixels(split: Split, spec: TaskSpec, max_cached_bytes: int = MAX_CACHED_BYTES) -> PixelDataset:
    """The tensors of a split, from the cache where they fit in it."""
    task = open_task(spec)
    size = len(split) * task.image_spec.height * task.image_spec.width * 3
    if size > max_cached_bytes:
        return StreamedPixels(split, spec)
    key = cache_key(split.digest, msgspec.to_builtins(task.image_spec), DECODER_VERSION, version("pillow"))
    folder = cached_folder("pixels", key, "pixels.npy", partial(decode_split, split, task))
    return CachedPixels(folder / "pixels.npy", split.targets)


def decode_split(split: Split, task: Task, folder: Path) -> None:
    """Writes pixels.npy of a split into `folder`. Pillow decodes outside the interpreter's lock: threads are enough."""
    folder.mkdir(exist_ok=True)
    partial_path = folder / "partial.npy"
    shape = (len(split), task.image_spec.height, task.image_spec.width, 3)
    pixels = np.lib.format.open_memmap(partial_path, mode="w+", dtype=np.uint8, shape=shape)

    def decode(index: int) -> None:
        pixels[index] = preprocess_payload(task, split[index].payload)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for _ in track(pool.map(decode, range(len(split))), "decoding pictures", len(split)):
            pass
    pixels.flush()
    partial_path.rename(folder / "pixels.npy")


def preprocess_payload(task: Task, payload: bytes) -> NDArray[np.uint8]:
    """One encoded picture → uint8 [H, W, 3], exactly as the server does it."""
    image: NDArray[np.uint8] = task.preprocess(task.sample_from_bytes(payload))["image"]
    return image
