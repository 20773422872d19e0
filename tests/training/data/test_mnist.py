from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tasks.errors import BadInput, NotFound
from training.data.config import MnistConfig
from training.data.mnist import read_idx
from training.data.source import SPLITS, open_source


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def fill(folder: Path) -> np.ndarray:
    rng = np.random.default_rng(0)
    for prefix, count in (("train", 40), ("t10k", 20)):
        pictures = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pictures)))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx((np.arange(count) % 10).astype(np.uint8)))
    return pictures


def test_files_gzipped_or_not_become_pictures_without_loss(tmp_path: Path) -> None:
    pictures = fill(tmp_path)
    source = open_source(MnistConfig(path=str(tmp_path), validation_fraction=0.25))
    assert [len(source.split(name)) for name in SPLITS] == [30, 10, 20]
    example = source.split("test")[7]
    assert example.target == 7
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(example.payload))), pictures[7])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="train-images-idx3-ubyte"):
        open_source(MnistConfig(path=str(tmp_path)))


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: b"no gzip", lambda content: b""])
def test_a_damaged_gzip_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    fill(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BadInput, match=path.name):
        open_source(MnistConfig(path=str(tmp_path)))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=3), st.data())
@settings(max_examples=60, deadline=None)
def test_idx_is_read_whole_or_refused(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int], data: st.DataObject
) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(idx(array))
    assert np.array_equal(read_idx(path), array)
    content = idx(array)
    path.write_bytes(data.draw(st.sampled_from([content[:-1], content + b"x", b"\1" + content[1:], b""])))
    with pytest.raises(BadInput, match="file"):
        read_idx(path)
