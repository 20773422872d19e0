"""COCO's captions files (https://cocodataset.org/#format-data): several sentences about each picture.

A picture without a sentence is a problem too: nobody could learn from it or be judged by it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from tasks.errors import BadInput, NotFound
from training.data.annotated_file import AnnotatedFile, open_annotated_files
from training.data.annotation import join_captions
from training.data.coco import CocoPicture, Id, complain_of_size, read_records
from training.data.config import CocoCaptionsConfig, CocoCaptionsPart
from training.data.file_facts import measure_pictures
from training.data.problems import Problems
from training.data.source import AnnotatedSplitSource, SplitName

MAX_CAPTION_CHARACTERS = 1_000


class CocoCaption(msgspec.Struct, frozen=True):
    """One of "annotations"."""

    image_id: Id
    caption: str
    id: Id = ""


class CocoCaptionsDocument(msgspec.Struct, frozen=True):
    """A captions file, its records still unread, so that a broken one does not hide the others."""

    images: list[msgspec.Raw]
    annotations: list[msgspec.Raw]


def open_coco_captions(config: CocoCaptionsConfig) -> AnnotatedSplitSource:
    """The source of one to three captions files. Raises NotFound, and BadInput with everything that is broken."""
    problems = Problems()
    named: dict[SplitName, CocoCaptionsPart | None] = {
        "train": config.train,
        "validation": config.validation,
        "test": config.test,
    }
    parts = {name: read_part(Path(config.path), part, problems) for name, part in named.items() if part is not None}
    problems.raise_any("coco_captions")
    return open_annotated_files((), (), parts, config)


def read_part(folder: Path, part: CocoCaptionsPart, problems: Problems) -> list[AnnotatedFile]:
    """Every sound picture of a captions file with what is said of it, in the order of the file."""
    path = folder / part.captions
    document = read_document(path)
    pictures: dict[Id, tuple[int, CocoPicture]] = {}
    for index, picture in read_records(path, "images", document.images, CocoPicture, problems):
        if picture.id in pictures:
            problems.add(path, f"id {picture.id!r} is that of an earlier image", f"images[{index}]")
        pictures.setdefault(picture.id, (index, picture))
    paths = {key: folder / part.pictures / picture.file_name for key, (_, picture) in pictures.items()}
    measured = zip(pictures.values(), paths.values(), measure_pictures(list(paths.values()), problems), strict=True)
    for (_, picture), file, facts in measured:
        complaint = "" if facts.complaint else complain_of_size(picture, facts)
        if complaint:
            problems.add(file, complaint)
    said = read_records(path, "annotations", document.annotations, CocoCaption, problems)
    captions = collect_captions(path, said, pictures, problems)
    for key, (index, _) in pictures.items():
        if key not in captions:
            problems.add(path, f"the image of id {key!r} has no caption", f"images[{index}]")
    return [AnnotatedFile(file, caption=join_captions(captions.get(key, ()))) for key, file in paths.items()]


def read_document(path: Path) -> CocoCaptionsDocument:
    """Raises NotFound or BadInput."""
    if not path.is_file():
        raise NotFound(f"data: {path} is missing; it must be a JSON file of COCO captions")
    try:
        return msgspec.json.decode(path.read_bytes(), type=CocoCaptionsDocument)
    except msgspec.MsgspecError as error:
        raise BadInput(f"{path}: not a file of COCO captions ({error})") from error


def collect_captions(
    path: Path, said: Sequence[tuple[int, CocoCaption]], pictures: Mapping[Id, object], problems: Problems
) -> dict[Id, list[str]]:
    """The sound captions of every picture, white space tidied: that of the original says nothing."""
    captions: dict[Id, list[str]] = defaultdict(list)
    for index, record in said:
        place = f"annotations[{index}] (id {record.id!r})"
        caption = " ".join(record.caption.split())
        if record.image_id not in pictures:
            problems.add(path, f"image_id {record.image_id!r} is not among the images", place)
        elif not caption or len(caption) > MAX_CAPTION_CHARACTERS:
            problems.add(
                path, f"a caption has 1 to {MAX_CAPTION_CHARACTERS} characters, this one {len(caption)}", place
            )
        else:
            captions[record.image_id].append(caption)
    return captions
