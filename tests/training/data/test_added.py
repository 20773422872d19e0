"""What somebody adds to the data of a model: folders as most people have them, and tables."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.errors import BadInput, InvalidRecipe, NotFound
from training.data.added import NothingNew, added_data
from training.data.config import (
    CocoConfig,
    CocoPart,
    DataConfig,
    FolderConfig,
    MaskFolderConfig,
    ScenesConfig,
    TextFilesConfig,
    VocConfig,
    YoloConfig,
)
from training.recipe import TaskName

LABELS = ("ship", "buoy")


@pytest.mark.parametrize(
    ("task", "inside", "expected"),
    [
        ("classification", "ship", FolderConfig),
        ("text_generation", "chapters", TextFilesConfig),
        ("detection", "classes.txt", YoloConfig),
        ("detection", "train/data.yaml", YoloConfig),
        ("detection", "Annotations", VocConfig),
        ("segmentation", "masks", MaskFolderConfig),
        ("segmentation", "train/masks", MaskFolderConfig),
    ],
)
def test_a_folder_is_what_the_task_makes_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: TaskName, inside: str, expected: type[DataConfig]
) -> None:
    (tmp_path / "new" / inside).mkdir(parents=True)
    (tmp_path / "new" / inside / "one").touch()
    monkeypatch.chdir(tmp_path)
    found = added_data(Path("new"), task, LABELS)
    assert type(found) is expected
    assert getattr(found, "path", "") == str(tmp_path / "new"), "it must mean the same from another working directory"
    if isinstance(found, (VocConfig, MaskFolderConfig)):
        assert found.labels == LABELS


@pytest.mark.parametrize("task", ["detection", "segmentation", "captioning"])
def test_a_folder_that_could_be_anything_is_refused(tmp_path: Path, task: TaskName) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(BadInput, match=rf"for {task} a folder holds .* write a \[data\] table"):
        added_data(tmp_path, task, LABELS)


@pytest.mark.parametrize("task", ["classification", "detection", "text_generation"])
def test_an_empty_folder_has_nothing_new(tmp_path: Path, task: TaskName) -> None:
    (tmp_path / "lost+found").mkdir()
    with pytest.raises(NothingNew, match="there is no file in it yet"):
        added_data(tmp_path, task, LABELS)


@pytest.mark.parametrize("heading", ["", "[data]\n"])
def test_a_table_says_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heading: str) -> None:
    monkeypatch.chdir(tmp_path)
    told = 'source = "coco"\npath = "new"\ntrain = { instances = "a.json" }\n'
    Path("new.toml").write_text(heading + told)
    found = added_data(Path("new.toml"), "detection", LABELS)
    assert found == CocoConfig(path=str(tmp_path / "new"), train=CocoPart(instances="a.json"))


def test_a_whole_recipe_gives_its_data(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('name = "digits"\n[data]\nsource = "scenes"\nseed = 7\n[schedule]\nepochs = 3\n')
    assert added_data(recipe, "classification", ()) == ScenesConfig(seed=7)


def test_the_parts_of_a_table_are_made_absolute_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    part = '[[parts]]\nsource = "folder"\npath = "{}"\n'
    Path("new.toml").write_text('source = "joined"\n' + part.format("a") + part.format("b"))
    found = added_data(Path("new.toml"), "classification", ())
    assert [part.path for part in found.parts] == [os.path.join(tmp_path, name) for name in "ab"]  # type: ignore[union-attr]


def test_what_is_not_there_or_can_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"--data .*nowhere: there is no such folder or file"):
        added_data(tmp_path / "nowhere", "classification", ())
    (tmp_path / "broken.toml").write_text("source = ")
    with pytest.raises(InvalidRecipe, match="not a readable TOML file"):
        added_data(tmp_path / "broken.toml", "classification", ())
    (tmp_path / "unknown.toml").write_text('source = "folder"\npath = "x"\ncolour = "red"\n')
    with pytest.raises(InvalidRecipe, match="colour"):
        added_data(tmp_path / "unknown.toml", "classification", ())
