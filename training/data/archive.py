"""A split on disk: three plain files and a description, read by memory map. Nothing in it can carry code.

payloads.bin   every encoded picture, one after the other
offsets.npy    int64 [N + 1]: picture i is payloads[offsets[i] : offsets[i + 1]]
targets.npy    int64 [N]
split.json     how many, and their digest; written last, so a folder without it is unfinished
"""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from training.data.source import Example


class ArchiveFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """split.json."""

    count: int
    digest: str


def write_archive(folder: Path, examples: Iterable[Example]) -> None:
    """Writes a split beside `folder` and moves it there when it is whole, so that a reader never sees half of it."""
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    offsets, targets, total = [0], [], hashlib.sha256()
    with (partial / "payloads.bin").open("wb") as stream:
        for payload, target in examples:
            stream.write(payload)
            offsets.append(offsets[-1] + len(payload))
            targets.append(target)
            total.update(hashlib.sha256(payload).digest() + target.to_bytes(4, "little"))
    np.save(partial / "offsets.npy", np.array(offsets, np.int64), allow_pickle=False)
    np.save(partial / "targets.npy", np.array(targets, np.int64), allow_pickle=False)
    facts = ArchiveFacts(count=len(targets), digest=total.hexdigest())
    (partial / "split.json").write_bytes(msgspec.json.encode(facts))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


class ArchiveSplit:
    """A written split: random access through one memory map, opened anew in every process that gets a copy."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._facts = msgspec.json.decode((folder / "split.json").read_bytes(), type=ArchiveFacts)
        self._offsets = np.load(folder / "offsets.npy", allow_pickle=False)
        self._targets = np.load(folder / "targets.npy", allow_pickle=False)
        self._open()

    def _open(self) -> None:
        with (self._folder / "payloads.bin").open("rb") as stream:
            self._payloads = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_payloads"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    @property
    def digest(self) -> str:
        return self._facts.digest

    @property
    def targets(self) -> tuple[int, ...]:
        return tuple(self._targets.tolist())

    def __len__(self) -> int:
        return self._facts.count

    def __getitem__(self, index: int) -> Example:
        if not -len(self) <= index < len(self):
            raise IndexError(f"example {index} of a split of {len(self)}")
        index %= len(self)
        start, end = int(self._offsets[index]), int(self._offsets[index + 1])
        return Example(self._payloads[start:end], int(self._targets[index]))

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))
