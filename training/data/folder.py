"""Pictures in directories, one for each class: what most people have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tasks.errors import NotFound
from training.data.config import FolderConfig
from training.data.file_split import PICTURE_SUFFIXES, FileSplit, list_pictures
from training.data.partition import partition_indices
from training.data.source import SPLITS, SplitSource


def open_folder(config: FolderConfig) -> SplitSource:
    """One class per directory. With train/, validation/ and test/ inside, those are the splits; else they are drawn.

    Raises NotFound naming the folder that is missing or holds no pictures.
    """
    root = Path(config.path)
    ready = [root / name for name in SPLITS]
    if all(folder.is_dir() for folder in ready):
        labels = list_classes(ready[0])
        return SplitSource(labels, {name: FileSplit(*find_pictures(root / name, labels)) for name in SPLITS})
    labels = list_classes(root)
    paths, targets = find_pictures(root, labels)
    fractions = {"validation": config.validation_fraction, "test": config.test_fraction}
    parts = partition_indices(targets, fractions, config.seed)
    splits = {name: FileSplit([paths[i] for i in part], [targets[i] for i in part]) for name, part in parts.items()}
    return SplitSource(labels, splits)


def list_classes(folder: Path) -> tuple[str, ...]:
    """Names of the class directories, sorted. Raises NotFound."""
    if not folder.is_dir():
        raise NotFound(f"data.path: {folder} is not a folder; it must hold one directory for each class")
    labels = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir()))
    if len(labels) < 2:
        raise NotFound(f"data.path: {folder} holds {len(labels)} directories; a classifier needs two classes or more")
    return labels


def find_pictures(folder: Path, labels: Sequence[str]) -> tuple[list[Path], list[int]]:
    """Every picture below each class directory and its class. Raises NotFound for an empty class."""
    paths: list[Path] = []
    targets: list[int] = []
    for target, label in enumerate(labels):
        found = list_pictures(folder / label)
        if not found:
            suffixes = ", ".join(sorted(PICTURE_SUFFIXES))
            raise NotFound(f"data.path: no pictures ({suffixes}) under {folder / label}")
        paths += found
        targets += [target] * len(found)
    return paths, targets
