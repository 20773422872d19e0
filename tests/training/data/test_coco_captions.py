from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.errors import BadInput, NotFound
from training.data.annotation import Annotation
from training.data.config import CocoCaptionsConfig, CocoCaptionsPart
from training.data.digits import encode_png
from training.data.source import SPLITS, AnnotatedSplitSource, open_source

HEIGHT, WIDTH = 10, 20


def document(count: int, annotations: list[dict[str, Any]]) -> dict[str, Any]:
    images = [{"id": i, "file_name": f"{i}.png", "width": WIDTH, "height": HEIGHT, "license": 1} for i in range(count)]
    return {"info": {"year": 2017}, "images": images, "annotations": annotations}


def said(image: int, caption: str) -> dict[str, Any]:
    return {"id": image + 100, "image_id": image, "caption": caption}


def write(folder: Path, content: dict[str, Any], name: str = "captions.json") -> CocoCaptionsPart:
    """A captions file and its pictures, each of them different."""
    for image in content["images"]:
        pixels = np.full((HEIGHT, WIDTH), image["id"], np.uint8)
        (folder / image["file_name"]).write_bytes(encode_png(pixels))
    (folder / name).write_text(json.dumps(content))
    return CocoCaptionsPart(captions=name)


def open_captions(folder: Path, part: CocoCaptionsPart) -> AnnotatedSplitSource:
    config = CocoCaptionsConfig(path=str(folder), train=part, validation_fraction=0.3, test_fraction=0.3)
    source = open_source(config)
    assert isinstance(source, AnnotatedSplitSource)
    return source


def captions(source: AnnotatedSplitSource) -> set[tuple[str, ...]]:
    targets = [target for name in SPLITS for target in source.split(name).targets]
    return {target.captions for target in targets if isinstance(target, Annotation)}


def test_a_picture_has_all_that_was_said_of_it_in_the_order_of_the_file(tmp_path: Path) -> None:
    sentences = [said(i, f"Picture {i}.") for i in range(9)] + [said(9, "A cat."), said(9, " A small\n cat  sits. ")]
    source = open_captions(tmp_path, write(tmp_path, document(10, sentences)))
    assert source.labels == source.mask_labels == ()
    assert sorted(len(source.split(name)) for name in SPLITS) == [3, 3, 4]
    assert captions(source) == {(f"Picture {i}.",) for i in range(9)} | {("A cat.", "A small cat sits.")}


def test_another_caption_is_other_data(tmp_path: Path) -> None:
    sentences = [said(i, f"Picture {i}.") for i in range(10)]
    one = open_captions(tmp_path, write(tmp_path, document(10, sentences)))
    sentences[3] = said(3, "Something else.")
    other = open_captions(tmp_path, write(tmp_path, document(10, sentences)))
    assert one.digest != other.digest


def test_everything_that_is_broken_is_named_with_its_place(tmp_path: Path) -> None:
    content = document(
        4, [said(0, "Sound."), said(1, "  "), said(77, "Of what?"), {"image_id": 2}, said(3, "x" * 1001)]
    )
    content["images"][0]["width"] = WIDTH + 1
    content["images"].append(dict(content["images"][1]))
    with pytest.raises(BadInput) as caught:
        open_captions(tmp_path, write(tmp_path, content))
    message = str(caught.value)
    assert "captions.json:images[4]: id 1 is that of an earlier image" in message
    assert "0.png: the picture has 20×10 pixels, its annotation says 21×10" in message
    assert "captions.json:annotations[1] (id 101): a caption has 1 to 1000 characters, this one 0" in message
    assert "captions.json:annotations[2] (id 177): image_id 77 is not among the images" in message
    assert "captions.json:annotations[3]: " in message
    assert "this one 1001" in message
    assert "captions.json:images[2]: the image of id 2 has no caption" in message


def test_a_missing_or_foreign_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"captions\.json is missing"):
        open_captions(tmp_path, CocoCaptionsPart(captions="captions.json"))
    (tmp_path / "captions.json").write_text('{"images": []}')
    with pytest.raises(BadInput, match="not a file of COCO captions"):
        open_captions(tmp_path, CocoCaptionsPart(captions="captions.json"))
