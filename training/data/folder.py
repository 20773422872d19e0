"""Pictures in directories, one for each class: what most people have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tasks.errors import NotFound
from training.data.config import FolderConfig
from training.data.file_facts import measure_pictures
from training.data.file_split import PICTURE_SUFFIXES, FileSplit, list_pictures
from training.data.partition import draw_missing
from training.data.problems import Problems
from training.data.source import SplitSource
from training.data.split_folders import find_split_folders

ClassPicture = tuple[Path, int]
"""A file, and the index of its class."""


def open_folder(config: FolderConfig) -> SplitSource:
    """One directory per class, below `path` or below one for each split; what there is none for is drawn.

    Raises NotFound naming the folder that is missing or holds no pictures, and BadInput with everything that is broken.
    """
    problems = Problems()
    folders = find_split_folders(Path(config.path))
    labels = list_classes(folders["train"])
    parts = {name: find_pictures(folder, labels, problems) for name, folder in folders.items()}
    problems.raise_any("folder")
    pictures = draw_missing(parts, [target for _, target in parts["train"]], config)
    return SplitSource(
        labels,
        {
            name: FileSplit([path for path, _ in part], [target for _, target in part])
            for name, part in pictures.items()
        },
    )


def list_classes(folder: Path) -> tuple[str, ...]:
    """Names of the class directories, sorted. Raises NotFound."""
    if not folder.is_dir():
        raise NotFound(f"data.path: {folder} is not a folder; it must hold one directory for each class")
    labels = tuple(sorted(find_directories(folder)))
    if not labels:
        raise NotFound(f"data.path: {folder} holds no directories; it must hold one for each class")
    return labels


def find_directories(folder: Path) -> list[str]:
    """Names of the directories that are not hidden, as those of notebooks and editors are."""
    return [entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")]


def find_pictures(folder: Path, labels: Sequence[str], problems: Problems) -> list[ClassPicture]:
    """Every picture below each class directory. Raises NotFound for an empty class; what else is wrong is added to
    `problems`."""
    for name in sorted(set(find_directories(folder)) - set(labels)):
        problems.add(folder / name, f"it is none of the classes of training: {', '.join(labels)}")
    found: list[ClassPicture] = []
    for target, label in enumerate(labels):
        paths = list_pictures(folder / label)
        if not paths:
            suffixes = ", ".join(sorted(PICTURE_SUFFIXES))
            raise NotFound(f"data.path: no pictures ({suffixes}) under {folder / label}")
        found += [(path, target) for path in paths]
    measure_pictures([path for path, _ in found], problems)
    return found
