"""What all of COCO's files have (https://cocodataset.org/#format-data): images, and annotations that refer to them.

Annotations refer to the upright picture: one that EXIF turns must have been annotated turned, and its width and height
are compared. Fields that nobody here has a use for (licences, keypoints, …) are passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from tasks.errors import BadInput, NotFound
from training.data.file_facts import PictureFacts, measure_pictures
from training.data.problems import Problems
from training.data.source import SplitName

Id = int | str


class CocoPicture(msgspec.Struct, frozen=True):
    """One of "images"."""

    id: Id
    file_name: str
    width: int
    height: int


class CocoDocument(msgspec.Struct, frozen=True):
    """A file, its records still unread, so that a broken one does not hide the others."""

    images: list[msgspec.Raw]
    annotations: list[msgspec.Raw]


class ListedPicture(NamedTuple):
    """A picture of a file: what is said of it, where it lies, and where it is listed, for errors."""

    facts: CocoPicture
    path: Path
    place: str


Document = TypeVar("Document", bound=CocoDocument)
Part = TypeVar("Part")
Record = TypeVar("Record")


def given_parts(train: Part, validation: Part | None, test: Part | None) -> dict[SplitName, Part]:
    """Those splits that have a file of their own."""
    parts: dict[SplitName, Part | None] = {"train": train, "validation": validation, "test": test}
    return {name: part for name, part in parts.items() if part is not None}


def read_document(path: Path, kind: type[Document], what: str) -> Document:
    """`what`: COCO's word for such a file. Raises NotFound or BadInput."""
    if not path.is_file():
        raise NotFound(f"data: {path} is missing; it must be a JSON file of COCO {what}")
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except msgspec.MsgspecError as error:
        raise BadInput(f"{path}: not a file of COCO {what} ({error})") from error


def read_records(
    path: Path, field: str, records: Sequence[msgspec.Raw], kind: type[Record], problems: Problems
) -> list[tuple[int, Record]]:
    """Those records of a list that are sound, with their index."""
    decoder = msgspec.json.Decoder(kind)
    found: list[tuple[int, Record]] = []
    for index, record in enumerate(records):
        try:
            found.append((index, decoder.decode(record)))
        except msgspec.MsgspecError as error:
            problems.add(path, error, f"{field}[{index}]")
    return found


def read_pictures(path: Path, document: CocoDocument, folder: Path, problems: Problems) -> dict[Id, ListedPicture]:
    """The pictures of a file, in its order; `folder` is where they lie. Each is opened and measured."""
    pictures: dict[Id, ListedPicture] = {}
    for index, picture in read_records(path, "images", document.images, CocoPicture, problems):
        place = f"images[{index}]"
        if picture.id in pictures:
            problems.add(path, f"id {picture.id!r} is that of an earlier image", place)
        pictures.setdefault(picture.id, ListedPicture(picture, folder / picture.file_name, place))
    measured = measure_pictures([listed.path for listed in pictures.values()], problems)
    for listed, facts in zip(pictures.values(), measured, strict=True):
        complaint = "" if facts.complaint else complain_of_size(listed.facts, facts)
        if complaint:
            problems.add(listed.path, complaint)
    return pictures


def complain_of_size(picture: CocoPicture, facts: PictureFacts) -> str:
    """Says that a picture file is not of the size that was annotated; empty where it is."""
    if (facts.width, facts.height) == (picture.width, picture.height):
        return ""
    hint = "; EXIF turns it, and annotations must refer to the upright picture"
    turned = (facts.height, facts.width) == (picture.width, picture.height)
    return (
        f"the picture has {facts.width}×{facts.height} pixels, its annotation says {picture.width}×{picture.height}"
        f"{hint if turned else ''}"
    )
