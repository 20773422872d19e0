"""Data that somebody adds to what a model was trained on: a folder or a table of TOML → a source."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tasks.errors import BadInput, InvalidRecipe, NotFound
from training.data.config import (
    DataConfig,
    FolderConfig,
    JoinedConfig,
    MaskFolderConfig,
    TextFilesConfig,
    VocConfig,
    YoloConfig,
)
from training.recipe import TaskName
from training.recipe_file import convert_tables

LAYOUTS: Mapping[TaskName, str] = {
    "classification": "a directory for each class",
    "detection": "images/ and labels/ with data.yaml or classes.txt (YOLO), or Annotations/ and JPEGImages/ (VOC)",
    "segmentation": "images/ and masks/",
    "captioning": "no layout of its own",
    "text_generation": "UTF-8 files",
}
"""What a folder of added data must hold, by task."""


class NothingNew(NotFound):
    """There is nothing to learn from that the champion has not learnt from: no mistake, and no reason to train."""


def added_data(path: Path, task: TaskName, labels: tuple[str, ...]) -> DataConfig:
    """The source at `path`: a TOML file that is a [data] table or has one, or a folder as most people have it.
    `labels`: what the values of the model's masks mean. Paths are made absolute, so that they mean the same from
    wherever the model is trained again. Raises NotFound, BadInput, InvalidRecipe, NothingNew for an empty folder."""
    if path.is_file():
        return read_table(path)
    if not path.is_dir():
        raise NotFound(f"--data {path}: there is no such folder or file")
    if not any(each.is_file() and not each.name.startswith(".") for each in path.rglob("*")):
        raise NothingNew(f"--data {path}: there is no file in it yet")
    found = folder_source(path.resolve(), task, labels)
    if found is None:
        raise BadInput(
            f"--data {path}: for {task} a folder holds {LAYOUTS[task]}; for anything else write a [data] table into a "
            "TOML file and give that (docs/data.md)"
        )
    return found


def folder_source(path: Path, task: TaskName, labels: tuple[str, ...]) -> DataConfig | None:
    """What a folder is for a task, None where that can not be told."""
    if task == "classification":
        return FolderConfig(path=str(path))
    if task == "text_generation":
        return TextFilesConfig(path=str(path))
    if task == "segmentation" and holds(path, "masks"):
        return MaskFolderConfig(path=str(path), labels=labels)
    if task == "detection" and (holds(path, "data.yaml") or holds(path, "classes.txt")):
        return YoloConfig(path=str(path))
    if task == "detection" and holds(path, "Annotations"):
        return VocConfig(path=str(path), labels=labels)
    return None


def holds(path: Path, name: str) -> bool:
    """In the folder itself, or in that of its training data."""
    return (path / name).exists() or (path / "train" / name).exists()


def read_table(path: Path) -> DataConfig:
    """The [data] table of a recipe, or a file that is nothing but one. Raises InvalidRecipe."""
    try:
        facts = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidRecipe(f"--data {path}: not a readable TOML file ({error})") from error
    table: dict[str, Any] = facts.get("data", facts)
    config: DataConfig = convert_tables(table, DataConfig, f"--data {path}")  # type: ignore[arg-type]
    return absolute(config)


def spelled_as(added: DataConfig, known: Sequence[DataConfig]) -> DataConfig:
    """The one of the known sources that reads the same files, however these are spelled and drawn there; `added` where
    none does."""
    return next((part for part in known if files_of(part) == files_of(added)), added)


def files_of(config: DataConfig) -> object:
    """What tells the examples of two sources apart: the layout and the place, or all there is where no file is read."""
    path = getattr(absolute(config), "path", "")
    return (config.source, path) if path else config


def absolute(config: DataConfig) -> DataConfig:
    """The same with paths that do not depend on the working directory."""
    if isinstance(config, JoinedConfig):
        return msgspec.structs.replace(config, parts=tuple(absolute(part) for part in config.parts))
    given = getattr(config, "path", "")
    return msgspec.structs.replace(config, path=str(Path(given).resolve())) if given else config
