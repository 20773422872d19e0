"""COCO's instances files (https://cocodataset.org/#format-data): boxes, crowd regions, and masks made of the objects.

Categories become labels in the order of their ids.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from tasks.errors import BadInput
from training.data.annotated_file import AnnotatedFile, FileObject, open_annotated_files
from training.data.annotation import IGNORED
from training.data.box import check_box
from training.data.coco_file import (
    CocoDocument,
    CocoPicture,
    Id,
    ListedPicture,
    given_parts,
    read_document,
    read_pictures,
    read_records,
)
from training.data.coco_region import PaintedRegion, Region, check_region, paint_regions
from training.data.config import CocoConfig, CocoPart
from training.data.problems import Problems
from training.data.source import AnnotatedSplitSource


class CocoCategory(msgspec.Struct, frozen=True):
    """One of "categories"."""

    id: int
    name: str


class CocoInstance(msgspec.Struct, frozen=True):
    """One of "annotations": `bbox` is left, top, width, height in pixels."""

    image_id: Id
    category_id: int
    bbox: tuple[float, float, float, float]
    id: Id = ""
    iscrowd: bool | int = False
    segmentation: Region | None = None


class CocoInstancesDocument(CocoDocument, frozen=True):
    """An instances file."""

    categories: list[msgspec.Raw]


@dataclass(frozen=True)
class CocoFile:
    """What an instances file says, as far as it could be read. Objects are checked; `regions` by picture and object."""

    path: Path
    categories: dict[int, str]
    pictures: dict[Id, ListedPicture]
    objects: dict[Id, list[tuple[FileObject, Region | None]]]

    @property
    def has_regions(self) -> bool:
        """Whether masks can be made."""
        return any(region is not None for objects in self.objects.values() for _, region in objects)


def open_coco(config: CocoConfig) -> AnnotatedSplitSource:
    """The source of one to three instances files. Raises NotFound, and BadInput with everything that is broken."""
    problems = Problems()
    named = given_parts(config.train, config.validation, config.test)
    files = {name: read_file(Path(config.path), part, problems) for name, part in named.items()}
    training = files["train"]
    for file in files.values():
        if file.categories != training.categories:
            problems.add(file.path, f"its categories are not those of {training.path}")
    problems.raise_any("coco")
    labels = tuple(training.categories[key] for key in sorted(training.categories))
    # A mask has 8 bits: with more labels than they can tell apart there are boxes only.
    has_masks = any(file.has_regions for file in files.values()) and len(labels) < IGNORED
    mask_labels = ("background", *labels) if has_masks else ()
    parts = {name: list_files(file, has_masks) for name, file in files.items()}
    return open_annotated_files(labels, mask_labels, parts, config)


def read_file(folder: Path, part: CocoPart, problems: Problems) -> CocoFile:
    """One instances file."""
    path = folder / part.instances
    document = read_document(path, CocoInstancesDocument, "instances")
    listed = read_records(path, "categories", document.categories, CocoCategory, problems)
    categories = {category.id: category.name for _, category in listed}
    if len(set(categories.values())) < len(listed):
        problems.add(path, "two categories have the same id or the same name", "categories")
    pictures = read_pictures(path, document, folder / part.pictures, problems)
    instances = read_records(path, "annotations", document.annotations, CocoInstance, problems)
    objects = check_instances(path, instances, pictures, categories, problems)
    return CocoFile(path, categories, pictures, objects)


def check_instances(
    path: Path,
    instances: Sequence[tuple[int, CocoInstance]],
    pictures: Mapping[Id, ListedPicture],
    categories: Mapping[int, str],
    problems: Problems,
) -> dict[Id, list[tuple[FileObject, Region | None]]]:
    """The sound objects of every picture."""
    class_ids = {key: index for index, key in enumerate(sorted(categories))}
    objects: dict[Id, list[tuple[FileObject, Region | None]]] = defaultdict(list)
    for index, instance in instances:
        try:
            if instance.image_id not in pictures:
                raise BadInput(f"image_id {instance.image_id!r} is not among the images")
            if instance.category_id not in class_ids:
                raise BadInput(f"category_id {instance.category_id} is not among the categories")
            picture = pictures[instance.image_id].facts
            left, top, width, height = instance.bbox
            box = check_box((left, top, left + width, top + height), picture.height, picture.width)
            # Exporters write an empty list where an object has a box only.
            region = instance.segmentation or None
            if region is not None:
                check_region(region, picture.height, picture.width)
        except BadInput as error:
            problems.add(path, error, f"annotations[{index}] (id {instance.id!r})")
            continue
        found = FileObject(class_ids[instance.category_id], box, bool(instance.iscrowd))
        objects[instance.image_id].append((found, region))
    return objects


def list_files(file: CocoFile, has_masks: bool) -> list[AnnotatedFile]:
    """Every picture of a sound file, those without objects too, in the order of the file."""
    return [
        AnnotatedFile(
            listed.path,
            tuple(found for found, _ in file.objects.get(key, ())),
            plan_mask(listed.facts, file.objects.get(key, ())) if has_masks else None,
        )
        for key, listed in file.pictures.items()
    ]


def plan_mask(picture: CocoPicture, objects: Sequence[tuple[FileObject, Region | None]]) -> partial[bytes]:
    """How a picture's mask is painted: class + 1; crowds, and boxes of objects without a region, are IGNORED."""
    regions = [
        PaintedRegion(IGNORED if found.crowd or region is None else found.class_id + 1, region, found.box)
        for found, region in objects
    ]
    return partial(paint_regions, regions, picture.height, picture.width)
