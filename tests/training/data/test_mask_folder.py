from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks.errors import BadInput, NotFound
from training.data.annotation import Annotation
from training.data.config import MaskFolderConfig
from training.data.digits import encode_png
from training.data.source import SPLITS, AnnotatedSplitSource, open_source

HEIGHT, WIDTH = 6, 8
LABELS = ("road", "car", "sky")


def fill(folder: Path, count: int, shade: int = 0) -> None:
    """Pictures in a folder of their own, each with a mask of its number modulo three, and one ignored pixel."""
    for index in range(count):
        for kind, value in (("images", index + shade), ("masks", index % 3)):
            path = folder / kind / "town" / f"{index}.v1.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.full((HEIGHT, WIDTH), value, np.uint8)
            if kind == "masks":
                pixels[0, 0] = 255
            path.write_bytes(encode_png(pixels))


def open_masks(root: Path) -> AnnotatedSplitSource:
    source = open_source(MaskFolderConfig(path=str(root), labels=LABELS, validation_fraction=0.2, test_fraction=0.2))
    assert isinstance(source, AnnotatedSplitSource)
    return source


def test_pictures_find_their_masks(tmp_path: Path) -> None:
    fill(tmp_path, 10)
    source = open_masks(tmp_path)
    assert source.labels == ()
    assert source.mask_labels == LABELS
    assert [len(source.split(name)) for name in SPLITS] == [6, 2, 2]
    for payload, target in source.split("train"):
        assert isinstance(target, Annotation)
        assert len(target.boxes) == 0
        index = int(np.flatnonzero([payload == path.read_bytes() for path in pictures(tmp_path)])[0])
        assert target.mask()[1, 1] == index % 3
        assert target.mask()[0, 0] == 255


def pictures(root: Path) -> list[Path]:
    return [root / "images" / "town" / f"{index}.v1.png" for index in range(10)]


def test_ready_splits_are_taken_as_they_are(tmp_path: Path) -> None:
    for name, count in (("train", 3), ("validation", 2), ("test", 1)):
        fill(tmp_path / name, count, shade=10 * count)
    assert [len(open_masks(tmp_path).split(name)) for name in SPLITS] == [3, 2, 1]


def test_a_split_that_has_no_folder_is_drawn_from_training(tmp_path: Path) -> None:
    fill(tmp_path / "train", 10)
    fill(tmp_path / "val", 3, shade=100)
    (tmp_path / "train" / "masks" / "._0.png").write_bytes(b"of a file system")
    assert [len(open_masks(tmp_path).split(name)) for name in SPLITS] == [8, 3, 2]


def test_the_digest_follows_the_masks(tmp_path: Path) -> None:
    fill(tmp_path, 5)
    before = open_masks(tmp_path).digest
    path = tmp_path / "masks" / "town" / "0.v1.png"
    path.write_bytes(encode_png(np.ones((HEIGHT, WIDTH), np.uint8)))
    assert open_masks(tmp_path).digest != before


def test_everything_that_is_broken_is_named_at_once(tmp_path: Path) -> None:
    fill(tmp_path, 10)
    masks, images = tmp_path / "masks" / "town", tmp_path / "images" / "town"
    (masks / "0.v1.png").unlink()
    (images / "1.v1.png").unlink()
    (masks / "2.v1.png").write_bytes(encode_png(np.zeros((HEIGHT, WIDTH + 1), np.uint8)))
    (masks / "3.v1.png").write_bytes(encode_png(np.full((HEIGHT, WIDTH), 3, np.uint8)))
    (masks / "4.v1.png").write_bytes(encode_png(np.zeros((HEIGHT, WIDTH, 3), np.uint8)))
    (images / "5.v1.png").write_bytes(b"no picture")
    with pytest.raises(BadInput) as caught:
        open_masks(tmp_path)
    message = str(caught.value)
    assert "6 problems" in message
    for place in ("images/town/0", "masks/town/1", "masks/town/2", "masks/town/3", "masks/town/4", "images/town/5"):
        assert f"{place}.v1.png:" in message


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="images"):
        open_masks(tmp_path)
    fill(tmp_path, 2)
    with pytest.raises(NotFound, match="no pictures for"):
        open_masks(tmp_path)
