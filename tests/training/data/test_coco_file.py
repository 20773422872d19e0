from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tasks.errors import BadInput, NotFound
from training.data.coco_file import CocoDocument, given_parts, read_document, read_pictures, read_records
from training.data.digits import encode_png
from training.data.problems import Problems

HEIGHT, WIDTH = 10, 20


def image(key: int, **changes: Any) -> dict[str, Any]:
    return {"id": key, "file_name": f"{key}.png", "width": WIDTH, "height": HEIGHT, "license": 1, **changes}


def write(folder: Path, images: list[dict[str, Any]]) -> tuple[Path, CocoDocument]:
    """A file of images and no annotations; 0.png to 3.png lie beside it, the last one turned."""
    for key in range(4):
        shape = (WIDTH, HEIGHT) if key == 3 else (HEIGHT, WIDTH)
        (folder / f"{key}.png").write_bytes(encode_png(np.full(shape, key, np.uint8)))
    path = folder / "all.json"
    path.write_text(json.dumps({"images": images, "annotations": []}))
    return path, read_document(path, CocoDocument, "captions")


def test_pictures_in_the_order_of_the_file(tmp_path: Path) -> None:
    path, document = write(tmp_path, [image(2), image(0)])
    problems = Problems()
    pictures = read_pictures(path, document, tmp_path, problems)
    problems.raise_any("coco")
    assert list(pictures) == [2, 0]
    assert pictures[0].path == tmp_path / "0.png"
    assert pictures[0].place == "images[1]"


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ([image(0), image(0)], r"all\.json:images\[1\]: id 0 is that of an earlier image"),
        ([{"id": 0}], r"all\.json:images\[0\]: .*file_name"),
        ([image(1, width=21)], r"1\.png: the picture has 20×10 pixels, its annotation says 21×10$"),
        ([image(3)], r"3\.png: the picture has 10×20 pixels, its annotation says 20×10; EXIF turns it.*upright"),
        ([image(9)], r"9\.png"),
    ],
)
def test_a_broken_picture_is_named(tmp_path: Path, images: list[dict[str, Any]], said: str) -> None:
    path, document = write(tmp_path, images)
    problems = Problems()
    read_pictures(path, document, tmp_path, problems)
    with pytest.raises(BadInput, match=said):
        problems.raise_any("coco")


def test_a_broken_record_does_not_hide_the_others(tmp_path: Path) -> None:
    problems = Problems()
    records = [msgspec.Raw(b"1"), msgspec.Raw(b'"two"'), msgspec.Raw(b"3")]
    assert read_records(tmp_path / "all.json", "annotations", records, int, problems) == [(0, 1), (2, 3)]
    with pytest.raises(BadInput, match=r"all\.json:annotations\[1\]"):
        problems.raise_any("coco")


def test_a_missing_or_foreign_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"all\.json is missing; it must be a JSON file of COCO captions"):
        read_document(tmp_path / "all.json", CocoDocument, "captions")
    for content in ("{", "[]", '{"images": []}', ""):
        (tmp_path / "all.json").write_text(content)
        with pytest.raises(BadInput, match=r"all\.json: not a file of COCO captions"):
            read_document(tmp_path / "all.json", CocoDocument, "captions")


def test_a_split_without_a_file_is_left_out() -> None:
    assert given_parts("a", None, "c") == {"train": "a", "test": "c"}
