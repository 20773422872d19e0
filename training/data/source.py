"""The DataSource protocol: where labelled pictures or texts come from, already split.

Examples are *encoded* pictures. Whoever needs pixels decodes them by the task (`sample_from_bytes`, `preprocess`), so
training sees exactly what the server will see. The target of a picture is one class, or, in an AnnotatedSource, the
objects and the mask that it shows and captions; all targets of a source are of one kind. In a DocumentSource examples
are texts instead.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Literal, NamedTuple, Protocol

from tasks.errors import NotFound
from training.data.annotation import Annotation
from training.data.config import DataConfig

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

SOURCE_FACTORIES: Mapping[str, str] = {
    "scenes": "training.data.scene_source:open_scenes",
    "digits": "training.data.digits:open_digits",
    "folder": "training.data.folder:open_folder",
    "mask_folder": "training.data.mask_folder:open_mask_folder",
    "coco": "training.data.coco:open_coco",
    "coco_captions": "training.data.coco_captions:open_coco_captions",
    "voc": "training.data.voc:open_voc",
    "yolo": "training.data.yolo:open_yolo",
    "cifar10": "training.data.cifar10:open_cifar10",
    "mnist": "training.data.mnist:open_mnist",
    "files": "training.data.text_files:open_text_files",
    "stdlib": "training.data.stdlib:open_stdlib",
    "joined": "training.data.joined:open_joined",
}
"""Source → who opens it. Looked up by name so that a recipe imports only what its data needs."""


Target = int | Annotation | None
"""The index of a picture's class, or all that is known about what is in it. None: a text has no target but itself."""


class Example(NamedTuple):
    """One labelled picture: its encoded bytes, and what is to be learnt about it. Or one text in UTF-8."""

    payload: bytes
    target: Target

    @property
    def fingerprint(self) -> bytes:
        """What the digest of a split is made of."""
        if isinstance(self.target, int):
            known = self.target.to_bytes(4, "little")
        else:
            known = b"" if self.target is None else hashlib.sha256(self.target.encode()).digest()
        return hashlib.sha256(self.payload).digest() + known


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
    """Three disjoint splits of examples."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names; class indices point into them. Empty where data has no classes."""
        ...

    @property
    def digest(self) -> str:
        """sha256 identifying exactly the data, their labels and their splits."""
        ...

    def split(self, name: SplitName, /) -> Split: ...


class AnnotatedSource(ABC):
    """What a DataSource also is where its targets are annotations. Not a protocol: looking whether a source conforms
    to one asks for all of its properties, and the digest alone reads all data."""

    @property
    @abstractmethod
    def mask_labels(self) -> tuple[str, ...]:
        """What the values of a mask mean; empty where the data has no masks."""


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


class DocumentSource(SplitSource):
    """A source of texts, whose three splits exist already: payloads are UTF-8 and not empty, targets None."""

    def __init__(self, splits: Mapping[SplitName, Split]) -> None:
        super().__init__((), splits)


class AnnotatedSplitSource(SplitSource, AnnotatedSource):
    """An annotated source whose three splits exist already."""

    def __init__(
        self, labels: tuple[str, ...], mask_labels: tuple[str, ...], splits: Mapping[SplitName, Split]
    ) -> None:
        super().__init__(labels, splits)
        self._mask_labels = mask_labels

    @property
    def mask_labels(self) -> tuple[str, ...]:
        return self._mask_labels

    @property
    def digest(self) -> str:
        return digest_splits(self._mask_labels, [super().digest])


def digest_examples(examples: Iterable[Example]) -> str:
    """sha256 over every payload and target, in order."""
    total = hashlib.sha256()
    for example in examples:
        total.update(example.fingerprint)
    return total.hexdigest()


def digest_splits(labels: tuple[str, ...], split_digests: list[str]) -> str:
    """One digest for a whole source: its labels and its splits, in the order of SPLITS."""
    return hashlib.sha256("\n".join((*labels, "", *split_digests)).encode()).hexdigest()


def open_source(config: DataConfig) -> DataSource:
    """The source that a recipe names. Raises NotFound where its files are missing, or too few to learn from alone."""
    source = open_part(config)
    where = f"data.path: {path}" if (path := getattr(config, "path", "")) else f"data.source: {config.source}"
    if not isinstance(source, AnnotatedSource | DocumentSource) and len(source.labels) < 2:
        raise NotFound(f"{where} holds one class, {source.labels[0]!r}; a classifier needs two classes or more")
    for name in SPLITS:
        if not len(source.split(name)):
            raise NotFound(f"{where} has too few examples to draw some for {name}; every split needs at least one")
    return source


def open_part(config: DataConfig) -> DataSource:
    """The same, of what others are joined with: it may lack classes, and have a split that is empty."""
    module, name = SOURCE_FACTORIES[config.source].split(":")
    source: DataSource = getattr(import_module(module), name)(config)
    return source
