"""A split on disk: plain files and a description, read by memory map. Nothing in it can carry code.

payloads.bin         every encoded picture, one after the other
offsets.npy          int64 [N + 1]: picture i is payloads[offsets[i] : offsets[i + 1]]
targets.npy          int64 [N], where targets are classes
targets.bin          where they are annotations: every encoded Annotation, one after the other,
target_offsets.npy   and where each begins, as for pictures
split.json           how many, of which kind, and their digest; written last: a folder without it is unfinished
"""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, overload

import msgspec
import numpy as np

from training.data.annotation import Annotation
from training.data.lazy import LazySequence
from training.data.source import Example, Target


class ArchiveFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """split.json."""

    count: int
    digest: str
    targets: Literal["classes", "annotations"] = "classes"


def write_archive(folder: Path, examples: Iterable[Example]) -> None:
    """Writes a split beside `folder` and moves it there when it is whole, so that a reader never sees half of it."""
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    targets: list[Target] = []
    total = hashlib.sha256()

    def payloads() -> Iterator[bytes]:
        for example in examples:
            targets.append(example.target)
            total.update(example.fingerprint)
            yield example.payload

    write_blobs(partial / "payloads.bin", partial / "offsets.npy", payloads())
    annotations = [target.encode() for target in targets if isinstance(target, Annotation)]
    if annotations:
        write_blobs(partial / "targets.bin", partial / "target_offsets.npy", annotations)
    else:
        np.save(partial / "targets.npy", np.array(targets, np.int64), allow_pickle=False)
    kind: Literal["classes", "annotations"] = "annotations" if annotations else "classes"
    facts = ArchiveFacts(count=len(targets), digest=total.hexdigest(), targets=kind)
    (partial / "split.json").write_bytes(msgspec.json.encode(facts))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def write_blobs(path: Path, offsets_path: Path, blobs: Iterable[bytes]) -> None:
    """Byte strings one after the other, and int64 [N + 1] saying where each begins and ends."""
    offsets = [0]
    with path.open("wb") as stream:
        for blob in blobs:
            stream.write(blob)
            offsets.append(offsets[-1] + len(blob))
    np.save(offsets_path, np.array(offsets, np.int64), allow_pickle=False)


class Blobs(Sequence[bytes]):
    """What `write_blobs` wrote, through one memory map, opened anew in every process that gets a copy."""

    def __init__(self, path: Path, offsets_path: Path) -> None:
        self._path = path
        self._offsets = np.load(offsets_path, allow_pickle=False)
        self._open()

    def _open(self) -> None:
        with self._path.open("rb") as stream:
            self._bytes = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_bytes"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        place = range(len(self))[index]
        if isinstance(place, range):
            return [self[i] for i in place]
        return self._bytes[int(self._offsets[place]) : int(self._offsets[place + 1])]


class ArchiveSplit:
    """A written split: random access to pictures and targets."""

    def __init__(self, folder: Path) -> None:
        self._facts = msgspec.json.decode((folder / "split.json").read_bytes(), type=ArchiveFacts)
        self._payloads = Blobs(folder / "payloads.bin", folder / "offsets.npy")
        self._targets: Sequence[Target]
        if self._facts.targets == "annotations":
            self._targets = LazySequence(
                Blobs(folder / "targets.bin", folder / "target_offsets.npy"), Annotation.decode
            )
        else:
            self._targets = tuple(np.load(folder / "targets.npy", allow_pickle=False).tolist())

    @property
    def digest(self) -> str:
        return self._facts.digest

    @property
    def targets(self) -> Sequence[Target]:
        return self._targets

    def __len__(self) -> int:
        return self._facts.count

    def __getitem__(self, index: int) -> Example:
        if not -len(self) <= index < len(self):
            raise IndexError(f"example {index} of a split of {len(self)}")
        return Example(self._payloads[index], self._targets[index])

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))
