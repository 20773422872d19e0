"""What servers captured and people labelled, as data to learn from.

A capture folder forgets: its files go when they are old. So what has a label is copied, once, into a folder of a layout
that training reads anyway, named by its content.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from PIL import Image, ImageOps

from monitoring.captured import day_folders
from monitoring.captured_items import CapturedItem, read_captured
from tasks.errors import BadInput, NotFound
from training.data.config import (
    CocoCaptionsConfig,
    CocoCaptionsPart,
    DataConfig,
    FolderConfig,
    MaskFolderConfig,
    TextFilesConfig,
    YoloConfig,
)
from training.recipe import TaskName

Labels = tuple[str, ...]


def is_captured(path: Path, model: str) -> bool:
    """Whether a folder is where servers captured requests of a model."""
    return any(next(day.glob("*.parquet"), None) for day in day_folders(path, model))


def take_snapshot(path: Path, model: str, task: TaskName, labels: Labels, keep: Path) -> DataConfig:
    """Copies everything labelled of a model into a folder of `keep`; the same content, the same folder. `labels`: those
    of the model, in order. Raises NotFound where nothing has a label, BadInput for a damaged file."""
    items = [item for item in read_captured(path, model) if is_labelled(item)]
    if not items:
        raise NotFound(
            f"--data {path}: of what was captured of {model!r} nothing has a label; send some to "
            f"/v1/models/{model}/feedback while capture is on (docs/feedback.md)"
        )
    target = keep / f"{model}-{digest_of(items)[:16]}"
    if not target.exists():
        keep.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="snapshot-", dir=keep) as scratch:
            whole = Path(scratch) / "whole"
            whole.mkdir()
            WRITERS[task](items, labels, whole)
            whole.rename(target)
    return source_of(target.resolve(), task, labels)


def is_labelled(item: CapturedItem) -> bool:
    """Whether there is something to learn: a rating alone says nothing about what would have been right."""
    if item.truth is None:
        return False
    return item.mask is not None or any(item.truth.get(key) is not None for key in ("label", "objects", "references"))


def digest_of(items: Sequence[CapturedItem]) -> str:
    """sha256 of what is labelled and how."""
    total = hashlib.sha256()
    for item in items:
        payload = item.picture.read_bytes() if item.picture else item.row.prompt.encode()
        mask = item.mask.read_bytes() if item.mask else b""
        for part in (payload, msgspec.json.encode(item.truth, order="deterministic"), mask):
            total.update(hashlib.sha256(part).digest())
    return total.hexdigest()


def source_of(folder: Path, task: TaskName, labels: Labels) -> DataConfig:
    """How training reads a snapshot."""
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
        with Image.open(picture) as opened:
            width, height = ImageOps.exif_transpose(opened).size
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
        images.append({"id": number, "file_name": name})
        for said in truth_of(item)["references"]:
            annotations.append({"id": len(annotations), "image_id": number, "caption": said})
    (folder / "captions.json").write_bytes(msgspec.json.encode({"images": images, "annotations": annotations}))


def write_texts(items: Sequence[CapturedItem], labels: Labels, folder: Path) -> None:
    """A file for each prompt with what should have followed it."""
    for number, item in enumerate(items):
        for place, said in enumerate(truth_of(item)["references"]):
            (folder / f"{number:06}-{place}.txt").write_text(item.row.prompt + said, encoding="utf-8")


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
