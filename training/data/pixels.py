"""Encoded examples → the tensors a network trains on, by the task and nothing else.

Splits that fit are decoded once and kept as arrays on disk, read by memory map; larger ones are decoded in worker
processes every time they are needed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.generation import Encoder
from tasks.image import ImageSpec, Placement, place_image
from tasks.task import TaskSpec, open_task
from training.data.batches import Batch, BatchDataset
from training.data.cache import cache_key, cached_folder
from training.data.source import Split, Target
from training.progress import track

DECODER_VERSION = 2
"""Raised whenever tasks/image.py would decode or resize a picture differently."""
MAX_CACHED_BYTES = 4 * 1024**3
"""Splits beyond this many bytes of decoded pixels are streamed."""


class TargetCodec(Protocol):
    """How the targets of a task become tensors."""

    @property
    def version(self) -> str:
        """Names the codec; raised whenever it would encode a target differently."""
        ...

    def encode(self, target: Target, placement: Placement) -> NDArray[Any]:
        """One target as rows [n, …] of any number n, in pixels of the model's input; all of one type."""
        ...

    def collate(self, encoded: Sequence[NDArray[Any]]) -> tuple[Tensor, ...]:
        """The targets of a batch, each as `encode` made it."""
        ...


class CachedPixels(BatchDataset):
    """Every picture of a split decoded: uint8 [N, H, W, 3] in a memory map, and the rows of every target in another.
    A batch is images uint8 [B, H, W, 3], then what the codec makes of their targets."""

    def __init__(self, pixels: Path, targets: Path, codec: TargetCodec) -> None:
        self._pixels: NDArray[np.uint8] = np.load(pixels / "pixels.npy", mmap_mode="r", allow_pickle=False)
        self._rows: NDArray[Any] = np.load(targets / "rows.npy", mmap_mode="r", allow_pickle=False)
        self._offsets: NDArray[np.int64] = np.load(targets / "offsets.npy", allow_pickle=False)
        self._codec = codec

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitems__(self, indices: list[int]) -> Batch:
        targets = [np.array(self._rows[self._offsets[i] : self._offsets[i + 1]]) for i in indices]
        return (torch.from_numpy(self._pixels[indices]), *self._codec.collate(targets))


class StreamedPixels(BatchDataset):
    """The same of a split that is decoded while it is trained on, in worker processes."""

    num_workers = len(os.sched_getaffinity(0))

    def __init__(self, split: Split, encoder: Encoder, codec: TargetCodec) -> None:
        self._split = split
        self._encoder = encoder
        self._codec = codec

    def __len__(self) -> int:
        return len(self._split)

    def __getitems__(self, indices: list[int]) -> Batch:
        images, targets = [], []
        for example in (self._split[index] for index in indices):
            sample = self._encoder.sample_from_bytes(example.payload)
            images.append(self._encoder.preprocess(sample)["image"])
            targets.append(self._codec.encode(example.target, sample.placement))
        return (torch.from_numpy(np.stack(images)), *self._codec.collate(targets))


PixelDataset = CachedPixels | StreamedPixels


def open_pixels(
    split: Split, spec: TaskSpec, codec: TargetCodec, max_cached_bytes: int = MAX_CACHED_BYTES
) -> PixelDataset:
    """The tensors of a split for a single-shot task, from the cache where they fit in it."""
    return open_encoder_pixels(split, open_task(spec), codec, max_cached_bytes)


def open_encoder_pixels(
    split: Split, encoder: Encoder, codec: TargetCodec, max_cached_bytes: int = MAX_CACHED_BYTES
) -> PixelDataset:
    """The same for whatever decodes pictures."""
    size = len(split) * encoder.image_spec.height * encoder.image_spec.width * 3
    if size > max_cached_bytes:
        return StreamedPixels(split, encoder, codec)
    key = cache_key(split.digest, msgspec.to_builtins(encoder.image_spec), DECODER_VERSION, version("pillow"))
    pixels = cached_folder("pixels", key, "pixels.npy", partial(decode_split, split, encoder))
    encode = partial(encode_targets, split, encoder.image_spec, codec, pixels)
    targets = cached_folder("targets", cache_key(key, codec.version), "rows.npy", encode)
    return CachedPixels(pixels, targets, codec)


def decode_split(split: Split, encoder: Encoder, folder: Path) -> None:
    """Writes pixels.npy of a split into `folder`, and the original sizes [N, (height, width)] beside it. Pillow decodes
    outside the interpreter's lock: threads are enough."""
    folder.mkdir(exist_ok=True)
    partial_path = folder / "partial.npy"
    shape = (len(split), encoder.image_spec.height, encoder.image_spec.width, 3)
    pixels = np.lib.format.open_memmap(partial_path, mode="w+", dtype=np.uint8, shape=shape)
    sizes = np.zeros((len(split), 2), np.int64)

    def decode(index: int) -> None:
        sample = encoder.sample_from_bytes(split[index].payload)
        pixels[index] = encoder.preprocess(sample)["image"]
        sizes[index] = sample.placement.original_height, sample.placement.original_width

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for _ in track(pool.map(decode, range(len(split))), "decoding pictures", len(split)):
            pass
    pixels.flush()
    np.save(folder / "sizes.npy", sizes, allow_pickle=False)
    partial_path.rename(folder / "pixels.npy")


def encode_targets(split: Split, image: ImageSpec, codec: TargetCodec, pixels: Path, folder: Path) -> None:
    """Writes rows.npy, the rows of all targets one after the other, and offsets.npy [N + 1] into `folder`."""
    folder.mkdir(exist_ok=True)
    sizes = np.load(pixels / "sizes.npy", allow_pickle=False)
    placements = (place_image(int(height), int(width), image) for height, width in sizes)
    targets = track(split.targets, "preparing targets", len(split))
    encoded = [codec.encode(target, placement) for target, placement in zip(targets, placements, strict=True)]
    offsets = np.cumsum([0, *(len(rows) for rows in encoded)], dtype=np.int64)
    np.save(folder / "offsets.npy", offsets, allow_pickle=False)
    np.save(folder / "partial.npy", np.concatenate(encoded), allow_pickle=False)
    (folder / "partial.npy").rename(folder / "rows.npy")
