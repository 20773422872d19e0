"""Pictures in directories, one for each class: what most people have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.errors import NotFound
from training.data.config import FolderConfig
from training.data.partition import partition_indices
from training.data.source import SPLITS, Example, SplitSource, digest_examples
from training.progress import track

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"})


class FileSplit:
    """Paths and targets; a picture is read when it is asked for."""

    def __init__(self, paths: Sequence[Path], targets: Sequence[int]) -> None:
        self._paths = tuple(paths)
        self._targets = tuple(targets)

    @property
    def digest(self) -> str:
        return digest_examples(track(self, "hashing pictures", len(self)))

    @property
    def targets(self) -> tuple[int, ...]:
        return self._targets

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Example:
        return Example(self._paths[index].read_bytes(), self._targets[index])

    def pick(self, indices: Sequence[int]) -> FileSplit:
        """Some of the pictures, as a split of their own."""
        return FileSplit([self._paths[i] for i in indices], [self._targets[i] for i in indices])

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))


def open_folder(config: FolderConfig) -> SplitSource:
    """One class per directory. With train/, validation/ and test/ inside, those are the splits; else they are drawn.

    Raises NotFound naming the folder that is missing or holds no pictures.
    """
    root = Path(config.path)
    ready = [root / name for name in SPLITS]
    if all(folder.is_dir() for folder in ready):
        labels = list_classes(ready[0])
        return SplitSource(labels, {name: read_split(root / name, labels) for name in SPLITS})
    labels = list_classes(root)
    whole = read_split(root, labels)
    fractions = {"validation": config.validation_fraction, "test": config.test_fraction}
    parts = partition_indices(whole.targets, fractions, config.seed)
    return SplitSource(labels, {name: whole.pick(part) for name, part in parts.items()})


def list_classes(folder: Path) -> tuple[str, ...]:
    """Names of the class directories, sorted. Raises NotFound."""
    if not folder.is_dir():
        raise NotFound(f"data.path: {folder} is not a folder; it must hold one directory for each class")
    labels = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir()))
    if len(labels) < 2:
        raise NotFound(f"data.path: {folder} holds {len(labels)} directories; a classifier needs two classes or more")
    return labels


def read_split(folder: Path, labels: Sequence[str]) -> FileSplit:
    """Every picture below each class directory, in the order of its path. Raises NotFound for an empty class."""
    paths: list[Path] = []
    targets: list[int] = []
    for target, label in enumerate(labels):
        found = sorted(path for path in (folder / label).rglob("*") if path.suffix.lower() in SUFFIXES)
        if not found:
            raise NotFound(f"data.path: no pictures ({', '.join(sorted(SUFFIXES))}) under {folder / label}")
        paths += found
        targets += [target] * len(found)
    return FileSplit(paths, targets)
