"""A split of picture files: targets are known, a picture is read when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from training.data.problems import Problems
from training.data.source import Example, Target, digest_examples
from training.data.visible_files import find_visible
from training.progress import track

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"})


class FileSplit:
    """Paths and targets, one for each."""

    def __init__(self, paths: Sequence[Path], targets: Sequence[Target]) -> None:
        self._paths = tuple(paths)
        self._targets = targets
        self._digest = ""

    @property
    def digest(self) -> str:
        if not self._digest:
            self._digest = digest_examples(track(self, "hashing pictures", len(self)))
        return self._digest

    @property
    def targets(self) -> Sequence[Target]:
        return self._targets

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Example:
        return Example(self._paths[index].read_bytes(), self._targets[index])

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))


def name_pictures(folder: Path, problems: Problems) -> dict[str, Path]:
    """Every picture below a folder by its path inside it, less the suffix: what annotations of other formats share."""
    named: dict[str, Path] = {}
    for path in list_pictures(folder):
        name = inner_name(path, folder)
        if name in named:
            problems.add(path, f"{named[name]} has the same name; annotations could be of either")
        named[name] = path
    return named


def inner_name(path: Path, folder: Path) -> str:
    """Where a file lies below a folder, less its suffix: "a/b" of folder/a/b.jpg."""
    return path.relative_to(folder).with_suffix("").as_posix()


def list_pictures(folder: Path) -> list[Path]:
    """Every picture below a folder that is not hidden, in the order of its path."""
    return [path for path in find_visible(folder, "**/*") if path.suffix.lower() in PICTURE_SUFFIXES]
