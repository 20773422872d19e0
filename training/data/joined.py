"""Several sources as one: the data that a model was trained on, and what was labelled since."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InvalidRecipe
from training.data.config import DataConfig, JoinedConfig
from training.data.lazy import LazySequence
from training.data.source import (
    SPLITS,
    AnnotatedSource,
    AnnotatedSplitSource,
    DataSource,
    DocumentSource,
    Example,
    Split,
    SplitName,
    SplitSource,
    Target,
    open_part,
)

Places = tuple[int, ...]
"""Index of a class in one source → its index in the joined one."""


def open_joined(config: JoinedConfig) -> SplitSource:
    """All parts, split by split, in the classes of the first one: the others may lack some, and may have them in
    another order. What one part does not know (boxes, masks) the joined source does not teach. Raises InvalidRecipe for
    a part whose targets are of another kind or of a class that is not there."""
    sources = [open_part(part) for part in config.parts]
    first = sources[0]
    places = [find_places(source, first, part.source) for source, part in zip(sources, config.parts, strict=True)]
    splits: dict[SplitName, Split] = {}
    for name in SPLITS:
        parts = [relabelled(source.split(name), place) for source, place in zip(sources, places, strict=True)]
        splits[name] = JoinedSplit([parts[0], *parts[1:] * (config.repeat if name == "train" else 1)])
    if isinstance(first, AnnotatedSource):
        labels = first.labels if all(source.labels for source in sources) else ()
        has_masks = all(isinstance(source, AnnotatedSource) and source.mask_labels for source in sources)
        return AnnotatedSplitSource(labels, first.mask_labels if has_masks else (), splits)
    return DocumentSource(splits) if isinstance(first, DocumentSource) else SplitSource(first.labels, splits)


def parts_of(data: DataConfig) -> tuple[DataConfig, ...]:
    """The sources of which it is made."""
    return data.parts if isinstance(data, JoinedConfig) else (data,)


def known_examples(data: DataConfig, held_out: Sized, known: DataConfig) -> NDArray[np.bool_]:
    """bool [held out]: of the held-out examples of `data`, which are of a source that the known data have too."""
    found = [part in parts_of(known) for part in parts_of(data)]
    sizes = held_out.sizes if isinstance(held_out, JoinedSplit) else (len(held_out),)
    return np.repeat(found, sizes)


def open_normal(config: DataConfig) -> Split | None:
    """Examples that nothing was learnt from, of the parts that alone show what is normal now; None where all do."""
    if not isinstance(config, JoinedConfig) or not config.normal_parts:
        return None
    sources = [open_part(part) for part in config.parts[-config.normal_parts :]]
    return JoinedSplit([source.split(name) for name in ("test", "validation") for source in sources])


def find_places(source: DataSource, first: DataSource, name: str) -> Places:
    """Where the classes of a source are among those of the first. Raises InvalidRecipe."""
    if kind_of(source) != kind_of(first):
        raise InvalidRecipe(
            f"data.parts: {name} has {kind_of(source)}, and the first part {kind_of(first)}; all parts of a joined "
            "source teach the same"
        )
    unknown = [label for label in source.labels if label not in first.labels]
    if unknown:
        raise InvalidRecipe(
            f"data.parts: {name} has the class {unknown[0]!r}, which the first part does not have "
            f"({', '.join(first.labels)}); a new class needs a new training, with all data in one recipe"
        )
    ours, theirs = (each.mask_labels if isinstance(each, AnnotatedSource) else () for each in (source, first))
    if ours and theirs and ours != theirs:
        raise InvalidRecipe(
            f"data.parts: the masks of {name} mean {list(ours)}, those of the first part {list(theirs)}; write them "
            "with the same values"
        )
    return tuple(first.labels.index(label) for label in source.labels)


def kind_of(source: DataSource) -> str:
    """What the targets of a source are, in words."""
    if isinstance(source, DocumentSource):
        return "texts"
    return "annotated pictures" if isinstance(source, AnnotatedSource) else "pictures of one class each"


def relabelled(split: Split, places: Places) -> Split:
    """The same examples in the classes of another source."""
    return split if places == tuple(range(len(places))) else RelabelledSplit(split, places)


@dataclass(frozen=True)
class RelabelledSplit:
    """A split whose class indices point into other labels."""

    inner: Split
    places: Places

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.inner.digest} {self.places}".encode()).hexdigest()

    @property
    def targets(self) -> Sequence[Target]:
        return LazySequence(self.inner.targets, self.place)

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, index: int) -> Example:
        payload, target = self.inner[index]
        return Example(payload, self.place(target))

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    def place(self, target: Target) -> Target:
        """The same target in the other labels."""
        if target is None:
            return None
        if isinstance(target, int):
            return self.places[target]
        return replace(target, class_ids=np.array(self.places, np.int64)[target.class_ids])


class JoinedSplit:
    """Splits one after the other."""

    def __init__(self, parts: Sequence[Split]) -> None:
        self._parts = tuple(parts)
        self._ends = tuple(accumulate(len(part) for part in parts))

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many examples each part has."""
        return tuple(len(part) for part in self._parts)

    @property
    def digest(self) -> str:
        return hashlib.sha256("\n".join(part.digest for part in self._parts).encode()).hexdigest()

    @property
    def targets(self) -> Sequence[Target]:
        return LazySequence(range(len(self)), self._target)

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Example:
        part, place = self._find(index)
        return self._parts[part][place]

    def __iter__(self) -> Iterator[Example]:
        for part in self._parts:
            yield from part

    def _target(self, index: int) -> Target:
        part, place = self._find(index)
        return self._parts[part].targets[place]

    def _find(self, index: int) -> tuple[int, int]:
        """Part, and index in it. Raises IndexError."""
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(index)
        part = bisect_right(self._ends, position)
        return part, position - (self._ends[part - 1] if part else 0)
