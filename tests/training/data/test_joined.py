"""Several sources as one."""

from __future__ import annotations

import pickle
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import InvalidRecipe
from training.data.config import DataConfig, DigitsConfig, FolderConfig, JoinedConfig, StdlibConfig, TextFilesConfig
from training.data.digits import encode_png
from training.data.joined import JoinedSplit, RelabelledSplit, known_examples, open_normal
from training.data.source import SPLITS, Example, MemorySplit, open_source
from training.data.yolo import open_yolo
from training.recipe_file import convert_tables


def fill(folder: Path, label: str, count: int, shade: int = 0) -> None:
    (folder / label).mkdir(parents=True)
    for index in range(count):
        (folder / label / f"{index}.png").write_bytes(encode_png(np.full((4, 4), index + shade, np.uint8)))


@pytest.fixture
def animals(tmp_path: Path) -> FolderConfig:
    for label in ("cat", "dog", "owl"):
        fill(tmp_path / "animals", label, 10)
    return FolderConfig(path=str(tmp_path / "animals"))


def test_a_recipe_may_join_what_was_learnt_with_what_is_new(tmp_path: Path, animals: FolderConfig) -> None:
    for label in ("owl", "dog"):
        fill(tmp_path / "new", label, 20, shade=100)
    new = FolderConfig(path=str(tmp_path / "new"))
    told = {"source": "joined", "parts": [msgspec.to_builtins(animals), msgspec.to_builtins(new)]}
    config = msgspec.convert(told, DataConfig)
    source = open_source(config)
    assert source.labels == ("cat", "dog", "owl")
    for name in SPLITS:
        added = list(source.split(name))[len(open_source(animals).split(name)) :]
        expected = [Example(each.payload, each.target + 1) for each in open_source(new).split(name)]
        assert added == expected, "dog and owl are 1 and 2 here, and were 0 and 1 there"
        assert list(source.split(name).targets) == [each.target for each in source.split(name)]


def test_new_training_data_may_be_gone_through_more_often(tmp_path: Path, animals: FolderConfig) -> None:
    for label in ("cat", "dog"):
        fill(tmp_path / "new", label, 10, shade=100)
    new = FolderConfig(path=str(tmp_path / "new"))
    once, often = (open_source(JoinedConfig(parts=(animals, new), repeat=repeat)) for repeat in (1, 3))
    assert len(often.split("train")) == len(once.split("train")) + 2 * len(open_source(new).split("train"))
    assert len(often.split("test")) == len(once.split("test"))
    assert once.digest != often.digest != open_source(animals).digest


def test_the_last_part_may_be_what_is_normal_now(tmp_path: Path, animals: FolderConfig) -> None:
    for label in ("cat", "dog"):
        fill(tmp_path / "new", label, 10, shade=100)
    new = FolderConfig(path=str(tmp_path / "new"))
    assert open_normal(animals) is None
    assert open_normal(JoinedConfig(parts=(animals, new))) is None
    normal = open_normal(JoinedConfig(parts=(animals, new), normal_parts=1))
    source = open_source(new)
    assert normal is not None
    assert list(normal) == [*source.split("test"), *source.split("validation")]
    both = open_normal(JoinedConfig(parts=(new, animals, new), normal_parts=2))
    old = open_source(animals)
    assert both is not None
    assert list(both) == [
        example for name in ("test", "validation") for one in (old, source) for example in one.split(name)
    ]


def test_what_does_not_belong_together_is_refused(tmp_path: Path, animals: FolderConfig) -> None:
    for label in ("cat", "emu"):
        fill(tmp_path / "new", label, 10)
    with pytest.raises(InvalidRecipe, match="'emu', which the first part does not have"):
        open_source(JoinedConfig(parts=(animals, FolderConfig(path=str(tmp_path / "new")))))
    (tmp_path / "texts").mkdir()
    for index in range(8):
        (tmp_path / "texts" / f"{index}.txt").write_text(f"text {index}")
    with pytest.raises(InvalidRecipe, match="files has texts, and the first part pictures of one class each"):
        open_source(JoinedConfig(parts=(animals, TextFilesConfig(path=str(tmp_path / "texts")))))


def test_boxes_keep_their_classes_by_name(tmp_path: Path) -> None:
    for place, names in (("old", ["ship", "buoy"]), ("new", ["buoy", "ship"])):
        for kind in ("images", "labels"):
            (tmp_path / place / kind).mkdir(parents=True)
        (tmp_path / place / "classes.txt").write_text("\n".join(names))
        for index in range(8):
            (tmp_path / place / "images" / f"{index}.png").write_bytes(encode_png(np.full((8, 8), index, np.uint8)))
            (tmp_path / place / "labels" / f"{index}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    tables = [{"source": "yolo", "path": str(tmp_path / place)} for place in ("old", "new")]
    source = open_source(convert_tables({"source": "joined", "parts": tables}, JoinedConfig, "here"))
    classes = {int(each.target.class_ids[0]) for each in source.split("train")}
    assert classes == {0, 1}, "class 0 of the new files is a buoy, and buoys are class 1"
    alone = open_yolo(msgspec.convert(tables[0], DataConfig))
    assert source.labels == alone.labels == ("ship", "buoy")


def test_what_one_part_does_not_know_is_not_taught(tmp_path: Path) -> None:
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    (tmp_path / "classes.txt").write_text("\n".join("0123456789"))
    for index in range(8):
        (tmp_path / "images" / f"{index}.png").write_bytes(encode_png(np.full((8, 8), index, np.uint8)))
    few = {"train_size": 3, "validation_size": 2, "test_size": 2, "max_digits": 2}
    tables = [{"source": "scenes", **few}, {"source": "yolo", "path": str(tmp_path)}]
    source = open_source(convert_tables({"source": "joined", "parts": tables}, JoinedConfig, "here"))
    assert (source.labels, source.mask_labels) == (tuple("0123456789"), ())


def test_texts_stay_texts(tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        for index in range(8):
            (tmp_path / place / f"{index}.txt").write_text(f"{place} {index}")
    parts = tuple(TextFilesConfig(path=str(tmp_path / place)) for place in ("a", "b"))
    source = open_source(JoinedConfig(parts=parts))
    texts = {each.payload for name in SPLITS for each in source.split(name)}
    assert texts == {f"{place} {index}".encode() for place in ("a", "b") for index in range(8)}
    assert type(source).__name__ == "DocumentSource"


@given(st.lists(st.lists(st.integers(0, 9), max_size=5), min_size=1, max_size=5))
def test_every_index_finds_its_example(parts: list[list[int]]) -> None:
    split = JoinedSplit([MemorySplit(Example(bytes([n]), n) for n in part) for part in parts])
    everything = [Example(bytes([n]), n) for part in parts for n in part]
    assert list(split) == everything == [split[index] for index in range(len(split))]
    assert [split[index] for index in range(-len(split), 0)] == everything
    assert list(split.targets) == [each.target for each in everything]
    with pytest.raises(IndexError):
        split[len(split)]


def test_splits_reach_worker_processes() -> None:
    inner = MemorySplit([Example(b"a", 0), Example(b"b", 1)])
    split = pickle.loads(pickle.dumps(JoinedSplit([inner, RelabelledSplit(inner, (1, 0))])))
    assert [each.target for each in split] == [0, 1, 1, 0]


def test_joined_sources_may_be_joined_again() -> None:
    once = JoinedConfig(parts=(DigitsConfig(), DigitsConfig(seed=1)))
    assert msgspec.json.decode(msgspec.json.encode(JoinedConfig(parts=(once,))), type=DataConfig).parts == (once,)
    assert isinstance(msgspec.convert({"source": "stdlib"}, DataConfig), StdlibConfig)


def test_what_is_held_out_is_known_or_was_added(tmp_path: Path, animals: FolderConfig) -> None:
    for label in ("owl", "dog"):
        fill(tmp_path / "new", label, 20, shade=100)
    new = FolderConfig(path=str(tmp_path / "new"))
    joined = JoinedConfig(parts=(animals, new), repeat=3)
    held_out, known = open_source(joined).split("test"), open_source(animals).split("test")
    found = known_examples(joined, held_out, animals)
    assert [example.payload for example, is_known in zip(held_out, found, strict=True) if is_known] == [
        example.payload for example in known
    ]
    assert known_examples(joined, held_out, joined).all()
    assert known_examples(animals, known, joined).all()
    redrawn = msgspec.structs.replace(animals, seed=1)
    assert not known_examples(redrawn, open_source(redrawn).split("test"), joined).any()
