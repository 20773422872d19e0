from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks.errors import BadInput, NotFound
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


@pytest.mark.parametrize("validation", ["validation", "val", "valid"])
def test_a_split_that_has_no_folder_is_drawn_from_training(tmp_path: Path, validation: str) -> None:
    for name, count in (("train", 10), (validation, 2)):
        fill(tmp_path / name, "cat", count)
        fill(tmp_path / name, "dog", count)
    source = open_source(FolderConfig(path=str(tmp_path), test_fraction=0.2))
    assert source.labels == ("cat", "dog")
    assert [len(source.split(name)) for name in SPLITS] == [16, 4, 4]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    fill(tmp_path, "bus", 10)
    fill(tmp_path, "train", 10)
    assert open_source(FolderConfig(path=str(tmp_path))).labels == ("bus", "train")


def test_hidden_folders_and_files_are_passed_by(tmp_path: Path) -> None:
    fill(tmp_path, "cat", 10)
    fill(tmp_path, "dog", 10)
    fill(tmp_path, ".ipynb_checkpoints", 1)
    (tmp_path / "cat" / "._0.png").write_bytes(b"no picture")
    source = open_source(FolderConfig(path=str(tmp_path)))
    assert source.labels == ("cat", "dog")
    assert sum(len(source.split(name)) for name in SPLITS) == 20


def test_all_that_is_broken_is_named_at_once(tmp_path: Path) -> None:
    for name in ("train", "test"):
        fill(tmp_path / name, "cat", 5)
        fill(tmp_path / name, "dog", 5)
    fill(tmp_path / "test", "Dog", 1)
    (tmp_path / "train" / "cat" / "3.png").write_bytes(b"no picture")
    with pytest.raises(BadInput, match="2 problems") as caught:
        open_source(FolderConfig(path=str(tmp_path)))
    assert "cat/3.png: " in str(caught.value)
    assert "test/Dog: it is none of the classes of training: cat, dog" in str(caught.value)


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
    with pytest.raises(NotFound, match="holds one class, 'cat'; a classifier needs two classes"):
        open_source(FolderConfig(path=str(tmp_path)))
    (tmp_path / "dog").mkdir()
    with pytest.raises(NotFound, match="dog"):
        open_source(FolderConfig(path=str(tmp_path)))
    fill(tmp_path / "few", "cat", 2)
    fill(tmp_path / "few", "dog", 2)
    with pytest.raises(NotFound, match="too few examples to draw some for validation"):
        open_source(FolderConfig(path=str(tmp_path / "few")))
