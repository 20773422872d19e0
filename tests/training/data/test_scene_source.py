from __future__ import annotations

import io
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.data.config import ScenesConfig
from training.data.leakage import find_leakage
from training.data.photographs import PHOTOGRAPHS
from training.data.scene_source import CHUNK, SceneSource, load_ingredients
from training.data.source import SPLITS, SplitName, open_source

CONFIG = ScenesConfig(train_size=60, validation_size=30, test_size=30)


@pytest.fixture(scope="module")
def source(cache_folder: Path) -> SceneSource:
    opened = open_source(CONFIG)
    assert isinstance(opened, SceneSource)
    return opened


def test_splits_have_the_sizes_asked_for(source: SceneSource) -> None:
    assert [len(source.split(name)) for name in SPLITS] == [60, 30, 30]


def test_pictures_are_jpegs_of_varying_size(source: SceneSource) -> None:
    pictures = [Image.open(io.BytesIO(example.payload)) for example in source.split("train")]
    assert {picture.format for picture in pictures} == {"JPEG"}
    assert len({picture.size for picture in pictures}) > 20


def test_every_class_is_drawn_equally_often(source: SceneSource) -> None:
    counts = Counter(example.target for example in islice(source.stream("train", 0), 400))
    assert set(counts) == set(range(10))
    assert min(counts.values()) > 20


def test_the_second_opening_reads_the_cache(source: SceneSource, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("generated again")

    before = source.digest
    monkeypatch.setattr(SceneSource, "_generate", fail)
    assert SceneSource(CONFIG).digest == before


def test_worker_processes_make_the_same_pictures(source: SceneSource) -> None:
    shared = SceneSource(ScenesConfig(train_size=CHUNK + 1)).split("train")
    assert len(shared) == CHUNK + 1
    assert list(shared)[:60] == list(source.split("train"))


def test_another_seed_is_other_data(source: SceneSource) -> None:
    other = SceneSource(ScenesConfig(seed=1, train_size=60, validation_size=30, test_size=30))
    assert other.digest != source.digest
    assert not set(other.split("test")) & set(source.split("test"))


def test_a_stream_is_repeatable_and_never_repeats_the_cached_splits(source: SceneSource) -> None:
    first = list(islice(source.stream("test", 0), 40))
    assert first == list(islice(source.stream("test", 0), 40))
    assert not set(first) & set(islice(source.stream("test", 1), 40))
    assert not set(first) & set(source.split("test"))


@pytest.mark.parametrize("max_digits", [1, 3])
def test_digits_that_are_left_out_never_appear_and_others_take_their_place(max_digits: int) -> None:
    source = open_source(ScenesConfig(max_digits=max_digits))
    assert isinstance(source, SceneSource)
    targets = [example.target for example in islice(source.stream("test", 0, without={3, 7}), 100)]
    counts = Counter(np.concatenate([np.ravel(getattr(target, "class_ids", target)) for target in targets]).tolist())
    assert set(counts) == set(range(10)) - {3, 7}
    assert counts.total() >= 100


def test_no_scan_and_no_photograph_is_in_two_splits() -> None:
    train, validation, test = ({scan.tobytes() for scan in load_ingredients(name).scans} for name in SPLITS)
    assert len(train | validation | test) == len(train) + len(validation) + len(test)
    files = [entry for entries in PHOTOGRAPHS.values() for entry in entries]
    assert len(files) == len(set(files))


def test_no_picture_leaks(source: SceneSource) -> None:
    assert find_leakage(source) == []


@pytest.mark.parametrize("name", SPLITS)
def test_a_digit_stands_out_from_its_ground(name: SplitName) -> None:
    example = next(SceneSource(CONFIG).stream(name, 5))
    pixels = np.asarray(Image.open(io.BytesIO(example.payload)).convert("L"), np.float32)
    assert np.ptp(pixels) > 60
