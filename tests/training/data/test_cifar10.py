from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.errors import BadInput, NotFound
from training.data.cifar10 import RECORD_BYTES, TEST_FILES, TRAIN_FILES
from training.data.config import Cifar10Config
from training.data.source import SPLITS, open_source


def fill(folder: Path) -> np.ndarray:
    """Ten records to a file, one of each class; returns the planes of the test file."""
    rng = np.random.default_rng(0)
    for name in (*TRAIN_FILES, *TEST_FILES):
        records = rng.integers(0, 256, (10, RECORD_BYTES), dtype=np.uint8)
        records[:, 0] = np.arange(10)
        (folder / name).write_bytes(records.tobytes())
    return records[:, 1:].reshape(10, 3, 32, 32)


def test_records_become_pictures_without_loss(tmp_path: Path) -> None:
    planes = fill(tmp_path)
    source = open_source(Cifar10Config(path=str(tmp_path), validation_fraction=0.2))
    assert [len(source.split(name)) for name in SPLITS] == [40, 10, 10]
    example = source.split("test")[3]
    assert (example.target, source.labels[example.target]) == (3, "cat")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(example.payload))), planes[3].transpose(1, 2, 0))


def test_a_cut_or_missing_file_is_a_clear_error(tmp_path: Path) -> None:
    fill(tmp_path)
    path = tmp_path / "test_batch.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BadInput, match="test_batch"):
        open_source(Cifar10Config(path=str(tmp_path)))
    path.unlink()
    with pytest.raises(NotFound, match="test_batch"):
        open_source(Cifar10Config(path=str(tmp_path)))
