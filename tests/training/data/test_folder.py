from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks.errors import NotFound
from training.data.config import FolderConfig
from training.data.digits import encode_png
from training.data.source import SPLITS, open_source


def fill(folder: Path, label: str, count: int) -> None:
    (folder / label).mkdir(parents=True)
    for index in range(count):
        (folder / label / f"{index}.png").write_bytes(encode_png(np.full((4, 4), index, np.uint8)))
    (folder / label / "notes.txt").write_text("no picture")


def test_directories_are_classes_and_splits_are_drawn(tmp_path: Path) -> None:
    fill(tmp_path, "dog", 10)
    fill(tmp_path, "cat", 20)
    source = open_source(FolderConfig(path=str(tmp_path), validation_fraction=0.2, test_fraction=0.2))
    assert source.labels == ("cat", "dog")
    assert [len(source.split(name)) for name in SPLITS] == [18, 6, 6]
    assert sorted(source.split("test").targets) == [0, 0, 0, 0, 1, 1]
    cats = {path.read_bytes() for path in (tmp_path / "cat").glob("*.png")}
    assert {example.payload for name in SPLITS for example in source.split(name) if example.target == 0} == cats


def test_ready_splits_are_taken_as_they_are(tmp_path: Path) -> None:
    for name, count in (("train", 3), ("validation", 2), ("test", 1)):
        fill(tmp_path / name, "cat", count)
        fill(tmp_path / name, "dog", count)
    source = open_source(FolderConfig(path=str(tmp_path)))
    assert [len(source.split(name)) for name in SPLITS] == [6, 4, 2]


def test_the_digest_follows_the_content(tmp_path: Path) -> None:
    fill(tmp_path, "cat", 5)
    fill(tmp_path, "dog", 5)
    before = open_source(FolderConfig(path=str(tmp_path))).digest
    (tmp_path / "cat" / "0.png").write_bytes(encode_png(np.full((4, 4), 99, np.uint8)))
    assert open_source(FolderConfig(path=str(tmp_path))).digest != before


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        open_source(FolderConfig(path=str(tmp_path / "nowhere")))
    fill(tmp_path, "cat", 1)
    with pytest.raises(NotFound, match="two classes"):
        open_source(FolderConfig(path=str(tmp_path)))
    (tmp_path / "dog").mkdir()
    with pytest.raises(NotFound, match="dog"):
        open_source(FolderConfig(path=str(tmp_path)))
