from __future__ import annotations

from pathlib import Path

import pytest

from training.data.split_folders import find_split_folders


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).mkdir()


@pytest.mark.parametrize("validation", ["validation", "val", "valid"])
def test_splits_are_found_by_the_names_that_people_give_them(tmp_path: Path, validation: str) -> None:
    make(tmp_path, "train", validation, "test")
    expected = {"train": tmp_path / "train", "validation": tmp_path / validation, "test": tmp_path / "test"}
    assert find_split_folders(tmp_path) == expected


@pytest.mark.parametrize("names", [(), ("train",), ("train", "bus"), ("validation", "test")])
def test_without_train_and_another_split_all_is_training(tmp_path: Path, names: tuple[str, ...]) -> None:
    make(tmp_path, *names)
    assert find_split_folders(tmp_path) == {"train": tmp_path}
