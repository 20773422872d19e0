"""What a retraining is asked for: whether there is anything new in it, and the recipe that comes of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tidegate.added_examples import find_added
from tidegate.retrain_request import Request, training_recipe
from training.data.added import NothingNew
from training.data.config import FolderConfig, JoinedConfig
from training.data.digits import encode_png
from training.data.source import SPLITS, open_source
from training.recipe import Recipe, parse_recipe
from training.retraining import Origin

LABELS = ("0", "1")


def fill(folder: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    for number in range(24):
        target = folder / LABELS[number % 2]
        target.mkdir(parents=True, exist_ok=True)
        (target / f"{number}.png").write_bytes(encode_png(rng.integers(0, 256, (8, 8), np.uint8)))
    return folder


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    """A champion that has learnt from the folder "known"."""
    facts = {
        "name": "shades",
        "data": {"source": "folder", "path": str(fill(tmp_path / "known", 0))},
        "image": {"height": 8, "width": 8},
        "model": {"architecture": "resnet"},
    }
    known = SimpleNamespace(recipe=facts, task={"kind": "classification", "labels": LABELS})
    return Origin("shades/1", tmp_path, with_digest(known))


def with_digest(facts: Any) -> Any:
    """As a training leaves them: with the digest of the data that their recipe names."""
    recipe: Recipe = parse_recipe(facts.recipe, "here")
    return SimpleNamespace(**vars(facts) | {"dataset_digest": open_source(recipe.data).digest})


def test_without_data_there_is_nothing_new(origin: Origin) -> None:
    recipe, learns_new = training_recipe(origin, Request("shades"))
    assert (recipe.data, recipe.model.warm_start, learns_new) == (origin.recipe.data, "shades/1", False)


def test_added_data_are_new(origin: Origin, tmp_path: Path) -> None:
    recipe, learns_new = training_recipe(origin, Request("shades", fill(tmp_path / "new", 1)))
    assert isinstance(recipe.data, JoinedConfig)
    assert [getattr(part, "path", "") for part in recipe.data.parts] == [str(tmp_path / n) for n in ("known", "new")]
    assert learns_new


def test_what_the_champion_has_learnt_already_is_not_new(origin: Origin, tmp_path: Path) -> None:
    again = tmp_path / "known"
    with pytest.raises(NothingNew, match="has learnt from that already, as it is"):
        training_recipe(origin, Request("shades", again))
    _, learns_new = training_recipe(origin, Request("shades", again, overrides=["schedule.epochs=2"]))
    assert not learns_new, "somebody wants it all the same"


def test_however_its_folder_is_spelled_it_is_not_new(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recipe may name it from where it was trained, and draw its splits by a seed of its own."""
    monkeypatch.chdir(tmp_path)
    origin.facts.recipe["data"] |= {"path": "known", "seed": 3}
    origin = Origin(origin.reference, origin.folder, with_digest(origin.facts))
    with pytest.raises(NothingNew, match="has learnt from that already"):
        training_recipe(origin, Request("shades", tmp_path / "known"))


def test_data_that_somebody_sets_are_new(origin: Origin, tmp_path: Path) -> None:
    bigger = fill(tmp_path / "bigger", 5)
    recipe, learns_new = training_recipe(origin, Request("shades", overrides=[f"data.path={bigger}"]))
    assert (learns_new, recipe.model.warm_start) == (True, "")


def test_a_little_of_one_class_may_be_added(origin: Origin, tmp_path: Path) -> None:
    """Too little to hold anything out of it, and too little to learn from alone."""
    (tmp_path / "new" / "1").mkdir(parents=True)
    (tmp_path / "new" / "1" / "7.png").write_bytes(encode_png(np.full((8, 8), 77, np.uint8)))
    recipe, learns_new = training_recipe(origin, Request("shades", tmp_path / "new"))
    whole, known = open_source(recipe.data), open_source(origin.recipe.data)
    assert learns_new
    assert [len(whole.split(name)) - len(known.split(name)) for name in SPLITS] == [1, 0, 0]
    assert whole.split("train")[-1].target == 1


def test_data_that_have_changed_are_new(origin: Origin, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "known" / "0" / "more.png").write_bytes(encode_png(np.full((8, 8), 7, np.uint8)))
    recipe, learns_new = training_recipe(origin, Request("shades", tmp_path / "known"))
    assert (learns_new, recipe.model.warm_start) == (True, "")
    assert "the training begins with new weights" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["others/2026-11-21/1.rows.parquet", "lost+found/.nothing"])
def test_a_folder_to_which_nothing_of_this_model_came_is_not_new(origin: Origin, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "captured"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).touch()
    with pytest.raises(NothingNew, match=r"nothing was captured there yet|there is no file in it yet"):
        find_added(origin, folder, "shades", tmp_path / "keep")


def test_a_folder_of_classes_is_what_is_added(origin: Origin, tmp_path: Path) -> None:
    new = fill(tmp_path / "new", 1)
    assert find_added(origin, new, "shades", tmp_path / "keep") == FolderConfig(path=str(new))
