"""What people labelled of captured requests, laid out in a folder as training reads it: one layout for each task."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from PIL import Image, ImageOps

from monitoring.captured_items import CapturedItem
from tasks.errors import BadInput
from training.data.added import NothingNew
from training.data.config import (
    CocoCaptionsConfig,
    CocoCaptionsPart,
    DataConfig,
    FolderConfig,
    MaskFolderConfig,
    TextFilesConfig,
    YoloConfig,
)
from training.data.source import SPLITS, SplitName
from training.recipe import TaskName

Labels = tuple[str, ...]
HELD_OUT_SHARE = 0.15
"""Of the prompts, for validation and for test each: as much as of other data."""


def source_of(folder: Path, task: TaskName, labels: Labels) -> DataConfig:
    """How training reads what `WRITERS` laid out."""
    path = str(folder)
    if task == "classification":
        return FolderConfig(path=path)
    if task == "detection":
        return YoloConfig(path=path)
    if task == "segmentation":
        return MaskFolderConfig(path=path, labels=labels)
    if task == "captioning":
        return CocoCaptionsConfig(path=path, train=CocoCaptionsPart(captions="captions.json", pictures="pictures"))
    return TextFilesConfig(path=path)


def write_classes(items: Sequence[CapturedItem], labels: Labels, folder: Path) -> None:
    """A directory for each class."""
    for number, item in enumerate(items):
        label = str(truth_of(item)["label"])
        if Path(label).name != label:
            raise BadInput(
                f"the class {label!r} can not be the name of a directory; name the model's classes otherwise"
            )
        (folder / label).mkdir(exist_ok=True)
        shutil.copyfile(picture_of(item), folder / label / f"{number:06}{picture_of(item).suffix}")


def write_boxes(items: Sequence[CapturedItem], labels: Labels, folder: Path) -> None:
    """As YOLO has them: a line for each object, in shares of the upright picture."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    (folder / "classes.txt").write_text("\n".join(labels), encoding="utf-8")
    for number, item in enumerate(items):
        picture = picture_of(item)
        width, height = upright_size(picture)
        lines = []
        for each in truth_of(item)["objects"]:
            left, top, right, bottom = each["box"]
            shares = ((left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width)
            lines.append(f"{each['class_id']} {' '.join(f'{x:.8f}' for x in shares)} {(bottom - top) / height:.8f}\n")
        shutil.copyfile(picture, folder / "images" / f"{number:06}{picture.suffix}")
        (folder / "labels" / f"{number:06}.txt").write_text("".join(lines), encoding="utf-8")


def write_masks(items: Sequence[CapturedItem], labels: Labels, folder: Path) -> None:
    """A PNG of class indices beside each picture."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for number, item in enumerate(items):
        assert item.mask is not None
        picture = picture_of(item)
        shutil.copyfile(picture, folder / "images" / f"{number:06}{picture.suffix}")
        shutil.copyfile(item.mask, folder / "masks" / f"{number:06}.png")


def write_captions(items: Sequence[CapturedItem], labels: Labels, folder: Path) -> None:
    """Captions as COCO writes them."""
    (folder / "pictures").mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, item in enumerate(items):
        picture = picture_of(item)
        name = f"{number:06}{picture.suffix}"
        shutil.copyfile(picture, folder / "pictures" / name)
        width, height = upright_size(picture)
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for said in truth_of(item)["references"]:
            annotations.append({"id": len(annotations), "image_id": number, "caption": said})
    (folder / "captions.json").write_bytes(msgspec.json.encode({"images": images, "annotations": annotations}))


def write_texts(items: Sequence[CapturedItem], labels: Labels, folder: Path) -> None:
    """A file for each prompt with each text that should have followed it, in the directory of a split: what is learnt
    and what is held out must not share a prompt. Raises NothingNew for too few prompts."""
    splits = draw_prompts({item.row.prompt for item in items})
    for name in SPLITS:
        (folder / name).mkdir()
    for number, item in enumerate(items):
        for place, text in enumerate(texts_of(item)):
            (folder / splits[item.row.prompt] / f"{number:06}-{place}.txt").write_text(text, encoding="utf-8")


def draw_prompts(prompts: Collection[str]) -> dict[str, SplitName]:
    """Prompt → its split. By a hash: a prompt that somebody labels again later is drawn into the same one, unless so
    few were there that each split had to be given its one. Raises NothingNew."""
    if len(prompts) < len(SPLITS):
        raise NothingNew(
            f"{len(prompts)} different prompts have a label, and training, validation and test need one each; label "
            "some more"
        )
    chance = {prompt: int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:8]) / 2**64 for prompt in prompts}
    ranked = sorted(prompts, key=lambda prompt: chance[prompt])
    num_test = max(1, sum(share < HELD_OUT_SHARE for share in chance.values()))
    num_validation = max(1, sum(HELD_OUT_SHARE <= share < 2 * HELD_OUT_SHARE for share in chance.values()))
    num_validation = min(num_validation, len(prompts) - 2)
    num_test = min(num_test, len(prompts) - num_validation - 1)
    num_train = len(prompts) - num_test - num_validation
    sizes: dict[SplitName, int] = {"test": num_test, "validation": num_validation, "train": num_train}
    return dict(zip(ranked, [name for name, size in sizes.items() for _ in range(size)], strict=True))


def texts_of(item: CapturedItem) -> list[str]:
    """A prompt with each of the texts that should have followed it."""
    return [item.row.prompt + said for said in truth_of(item)["references"]]


def upright_size(picture: Path) -> tuple[int, int]:
    """(width, height) as a picture is to be looked at, which is what labels go by."""
    with Image.open(picture) as opened:
        return ImageOps.exif_transpose(opened).size


def truth_of(item: CapturedItem) -> Mapping[str, Any]:
    assert item.truth is not None
    return item.truth


def picture_of(item: CapturedItem) -> Path:
    assert item.picture is not None
    return item.picture


WRITERS: Mapping[TaskName, Callable[[Sequence[CapturedItem], Labels, Path], None]] = {
    "classification": write_classes,
    "detection": write_boxes,
    "segmentation": write_masks,
    "captioning": write_captions,
    "text_generation": write_texts,
}
"""Task → what lays its labelled examples out."""
