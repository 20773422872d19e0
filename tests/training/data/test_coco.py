from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.errors import BadInput, NotFound
from training.data.annotation import IGNORED, Annotation
from training.data.config import CocoConfig, CocoPart
from training.data.digits import encode_png
from training.data.leakage import find_leakage
from training.data.source import SPLITS, AnnotatedSplitSource, open_source

HEIGHT, WIDTH = 10, 20
SQUARE = [[2, 1, 6, 1, 6, 5, 2, 5]]


def instance(number: int, image: int, **changes: Any) -> dict[str, Any]:
    """A cat of 4 × 4 pixels."""
    fields = {"id": number, "image_id": image, "category_id": 7, "bbox": [2, 1, 4, 4], "iscrowd": 0, "area": 16}
    return {**fields, "segmentation": SQUARE, **changes}


def document(count: int, annotations: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "info": {"year": 2017},
        "categories": [{"id": 18, "name": "dog", "supercategory": "animal"}, {"id": 7, "name": "cat"}],
        "images": [
            {"id": i, "file_name": f"{i}.png", "width": WIDTH, "height": HEIGHT, "license": 1} for i in range(count)
        ],
        "annotations": annotations,
    }


def write(folder: Path, name: str, content: dict[str, Any], pictures: str = "") -> CocoPart:
    """An instances file and its pictures, each of them different."""
    (folder / pictures).mkdir(parents=True, exist_ok=True)
    for image in content["images"]:
        pixels = np.full((HEIGHT, WIDTH), image["id"] + 10 * len(pictures), np.uint8)
        (folder / pictures / image["file_name"]).write_bytes(encode_png(pixels))
    (folder / name).write_text(json.dumps(content))
    return CocoPart(instances=name, pictures=pictures)


def open_coco(folder: Path, part: CocoPart) -> AnnotatedSplitSource:
    config = CocoConfig(path=str(folder), train=part, validation_fraction=0.3, test_fraction=0.3)
    source = open_source(config)
    assert isinstance(source, AnnotatedSplitSource)
    return source


def annotations(source: AnnotatedSplitSource) -> list[Annotation]:
    targets = [target for name in SPLITS for target in source.split(name).targets]
    return [target for target in targets if isinstance(target, Annotation)]


def test_boxes_classes_crowds_and_masks(tmp_path: Path) -> None:
    crowd = {"size": [HEIGHT, WIDTH], "counts": [100, 100]}
    objects = [
        instance(1, 0),
        instance(2, 0, category_id=18, iscrowd=1, bbox=[10, 0, 10, 10], segmentation=crowd),
        instance(3, 1, category_id=18, bbox=[0.5, 0, 3.25, 2]),
    ]
    source = open_coco(tmp_path, write(tmp_path, "all.json", document(10, objects)))
    assert source.labels == ("cat", "dog")
    assert source.mask_labels == ("background", "cat", "dog")
    assert sorted(len(source.split(name)) for name in SPLITS) == [3, 3, 4]
    found = {len(each.boxes): each for each in annotations(source)}
    assert set(found) == {0, 1, 2}
    assert found[2].boxes.tolist() == [[2, 1, 6, 5], [10, 0, 20, 10]]
    assert found[2].class_ids.tolist() == [0, 1]
    assert found[2].crowd.tolist() == [False, True]
    mask = found[2].mask()
    assert (mask[:, 10:] == IGNORED).all()
    assert (mask[1:5, 2:6] == 1).all()
    assert np.count_nonzero(mask[:, :10]) == 16
    assert found[1].boxes.tolist() == [[0.5, 0, 3.75, 2]]
    assert not found[0].mask().any()
    assert find_leakage(source) == []


def test_ready_splits_keep_their_pictures(tmp_path: Path) -> None:
    parts = {
        name: write(tmp_path, f"{name}.json", document(count, [instance(1, 0)]), pictures=name)
        for name, count in (("train", 4), ("validation", 2), ("test", 3))
    }
    source = open_source(CocoConfig(path=str(tmp_path), **parts))
    assert [len(source.split(name)) for name in SPLITS] == [4, 2, 3]
    validation = source.split("validation")
    assert validation[1].payload == (tmp_path / "validation" / "1.png").read_bytes()
    assert pickle.loads(pickle.dumps(validation))[0] == validation[0]


def test_objects_without_regions_make_data_without_masks(tmp_path: Path) -> None:
    objects = [instance(1, 0, segmentation=[]), {k: v for k, v in instance(2, 1).items() if k != "segmentation"}]
    source = open_coco(tmp_path, write(tmp_path, "all.json", document(10, objects)))
    assert source.mask_labels == ()
    assert all(each.encoded_mask == b"" for each in annotations(source))


def test_everything_that_is_broken_is_named_at_once(tmp_path: Path) -> None:
    objects: list[dict[str, Any]] = [
        instance(0, 0),
        instance(1, 0, bbox=[2, 1, -4, 4]),
        instance(2, 0, bbox=[2, 1, 0, 4]),
        instance(3, 0, bbox=[18, 1, 10, 4]),
        instance(4, 0, category_id=99),
        instance(5, 77),
        instance(6, 0, bbox="everywhere"),
        instance(7, 0, segmentation={"size": [3, 3], "counts": [9]}),
        instance(8, 0, segmentation=[[1, 1, 2]]),
    ]
    content = document(10, objects)
    part = write(tmp_path, "all.json", content)
    content["images"][3]["width"] = 33
    content["images"].append({"id": 0, "file_name": "again.png", "width": 1, "height": 1})
    content["images"].append({"id": 50, "file_name": 3})
    (tmp_path / "all.json").write_text(json.dumps(content))
    (tmp_path / "4.png").unlink()
    (tmp_path / "5.png").write_bytes(b"no picture")
    with pytest.raises(BadInput) as caught:
        open_coco(tmp_path, part)
    message = str(caught.value)
    assert all(f"all.json:annotations[{index}] (id {index})" in message for index in (1, 2, 3, 4, 5, 7, 8))
    assert "annotations[0]" not in message
    assert "all.json:annotations[6]" in message
    assert "all.json:images[10]" in message
    assert "all.json:images[11]" in message
    assert all(f"{name}.png:" in message for name in (3, 4, 5))


def test_categories_of_all_parts_must_agree(tmp_path: Path) -> None:
    train = write(tmp_path, "train.json", document(3, []), pictures="train")
    other = document(3, [])
    other["categories"].pop()
    test = write(tmp_path, "test.json", other, pictures="test")
    with pytest.raises(BadInput, match=r"test\.json.*categories"):
        open_source(CocoConfig(path=str(tmp_path), train=train, test=test))


@pytest.mark.parametrize("content", ["{", "[]", '{"images": []}', ""])
def test_what_is_no_instances_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "all.json").write_text(content)
    with pytest.raises(BadInput, match=r"all\.json"):
        open_coco(tmp_path, CocoPart(instances="all.json"))
    with pytest.raises(NotFound, match=r"none\.json"):
        open_coco(tmp_path, CocoPart(instances="none.json"))
