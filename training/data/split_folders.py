"""Folders of data that come cut already, by the names that people give them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from training.data.source import SplitName

SPLIT_FOLDERS: Mapping[SplitName, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("validation", "val", "valid"),
    "test": ("test",),
}


def find_split_folders(root: Path) -> dict[SplitName, Path]:
    """The folder of every split below `root`: train with validation, test, or both. Where there are no such two, `root`
    is all training data: a class or a manual may be called "train" too."""
    found: dict[SplitName, Path] = {}
    for split, names in SPLIT_FOLDERS.items():
        for name in names:
            if (root / name).is_dir():
                found.setdefault(split, root / name)
    return found if "train" in found and len(found) > 1 else {"train": root}
