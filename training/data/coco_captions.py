"""COCO's captions files (https://cocodataset.org/#format-data): several sentences about each picture.

A picture without a sentence is a problem too: nobody could learn from it or be judged by it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from training.data.annotated_file import AnnotatedFile, open_annotated_files
from training.data.annotation import join_captions
from training.data.coco_file import CocoDocument, Id, given_parts, read_document, read_pictures, read_records
from training.data.config import CocoCaptionsConfig, CocoCaptionsPart
from training.data.problems import Problems
from training.data.source import AnnotatedSplitSource

MAX_CAPTION_CHARACTERS = 1_000


class CocoCaption(msgspec.Struct, frozen=True):
    """One of "annotations"."""

    image_id: Id
    caption: str
    id: Id = ""


def open_coco_captions(config: CocoCaptionsConfig) -> AnnotatedSplitSource:
    """The source of one to three captions files. Raises NotFound, and BadInput with everything that is broken."""
    problems = Problems()
    named = given_parts(config.train, config.validation, config.test)
    parts = {name: read_part(Path(config.path), part, problems) for name, part in named.items()}
    problems.raise_any("coco_captions")
    return open_annotated_files((), (), parts, config)


def read_part(folder: Path, part: CocoCaptionsPart, problems: Problems) -> list[AnnotatedFile]:
    """Every sound picture of a captions file with what is said of it, in the order of the file."""
    path = folder / part.captions
    document = read_document(path, CocoDocument, "captions")
    pictures = read_pictures(path, document, folder / part.pictures, problems)
    said = read_records(path, "annotations", document.annotations, CocoCaption, problems)
    captions = collect_captions(path, said, pictures, problems)
    for key, listed in pictures.items():
        if key not in captions:
            problems.add(path, f"the image of id {key!r} has no caption", listed.place)
    return [
        AnnotatedFile(listed.path, caption=join_captions(captions.get(key, ()))) for key, listed in pictures.items()
    ]


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
