"""The DataSource protocol: where labelled pictures come from, already split.

Examples are *encoded* pictures. Whoever needs pixels decodes them by the task (`sample_from_bytes`, `preprocess`), so
training sees exactly what the server will see.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Literal, NamedTuple, Protocol

from training.data.annotation import Annotation
from training.data.config import DataConfig

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

SOURCE_FACTORIES: Mapping[str, str] = {
    "scenes": "training.data.scene_source:SceneSource",
    "digits": "training.data.digits:open_digits",
    "folder": "training.data.folder:open_folder",
    "cifar10": "training.data.cifar10:open_cifar10",
    "mnist": "training.data.mnist:open_mnist",
}
"""Source → who opens it. Looked up by name so that a recipe imports only what its data needs."""


Target = int | Annotation
"""The index of a picture's class, or all that is known about what is in it."""


class Example(NamedTuple):
    """One labelled picture: its encoded bytes, and what is to be learnt about it."""

    payload: bytes
    target: Target


class Split(Protocol):
    """A sequence of examples: cheap random access, and picklable so that worker processes can share it."""

    @property
    def digest(self) -> str:
        """sha256 over every payload and target, in order."""
        ...

    @property
    def targets(self) -> Sequence[Target]:
        """The target of every example, without reading any picture."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Example: ...

    def __iter__(self) -> Iterator[Example]: ...


class DataSource(Protocol):
    """Three disjoint splits of labelled pictures."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names; an example's target is an index into them."""
        ...

    @property
    def digest(self) -> str:
        """sha256 identifying exactly the data, their labels and their splits."""
        ...

    def split(self, name: SplitName, /) -> Split: ...


class MemorySplit(tuple[Example, ...]):
    """A split small enough to be kept as a tuple."""

    @property
    def digest(self) -> str:
        return digest_examples(self)

    @property
    def targets(self) -> Sequence[Target]:
        return tuple(example.target for example in self)


class SplitSource:
    """A source whose three splits exist already."""

    def __init__(self, labels: tuple[str, ...], splits: Mapping[SplitName, Split]) -> None:
        self._labels = labels
        self._splits = splits
        self._digest = ""

    @property
    def labels(self) -> tuple[str, ...]:
        return self._labels

    @property
    def digest(self) -> str:
        if not self._digest:
            self._digest = digest_splits(self._labels, [self._splits[name].digest for name in SPLITS])
        return self._digest

    def split(self, name: SplitName) -> Split:
        return self._splits[name]


def digest_examples(examples: MemorySplit) -> str:
    """sha256 over every payload and target, in order."""
    total = hashlib.sha256()
    for payload, target in examples:
        total.update(hashlib.sha256(payload).digest() + target.to_bytes(4, "little"))
    return total.hexdigest()


def digest_splits(labels: tuple[str, ...], split_digests: list[str]) -> str:
    """One digest for a whole source: its labels and its splits, in the order of SPLITS."""
    return hashlib.sha256("\n".join((*labels, "", *split_digests)).encode()).hexdigest()


def open_source(config: DataConfig) -> DataSource:
    """The source that a recipe names. Raises NotFound where its files are missing."""
    module, name = SOURCE_FACTORIES[config.source].split(":")
    source: DataSource = getattr(import_module(module), name)(config)
    return source
