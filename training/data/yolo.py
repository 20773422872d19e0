"""YOLO's text labels: one file for each picture, one line for each object: class, then the box's centre and size as
shares of the (upright) picture: `3 0.5 0.5 0.25 0.1`.

images/a.jpg belongs to labels/a.txt; a picture without a file of labels shows no objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tasks.errors import BadInput, NotFound
from training.data.annotated_file import AnnotatedFile, FileObject, open_annotated_files
from training.data.box import check_box
from training.data.config import YoloConfig
from training.data.file_facts import PictureFacts, measure_pictures
from training.data.file_split import inner_name, name_pictures
from training.data.problems import Problems
from training.data.source import AnnotatedSplitSource, SplitName
from training.data.split_folders import SPLIT_FOLDERS
from training.data.visible_files import find_visible

PICTURES, LABELS = "images", "labels"


class DataFile(msgspec.Struct, frozen=True):
    """data.yaml, as far as it is about classes: names in order, or by index."""

    names: list[str] | dict[int, str]


def open_yolo(config: YoloConfig) -> AnnotatedSplitSource:
    """The source of a YOLO folder. Raises NotFound, and BadInput with everything that is broken."""
    root, problems = Path(config.path), Problems()
    labels = read_labels(root)
    folders = find_folders(root)
    parts = {name: read_part(pictures, texts, len(labels), problems) for name, (pictures, texts) in folders.items()}
    problems.raise_any("yolo")
    return open_annotated_files(labels, (), parts, config)


def read_labels(root: Path) -> tuple[str, ...]:
    """Class names from data.yaml, or from classes.txt, one a line. Raises NotFound or BadInput."""
    data, classes = root / "data.yaml", root / "classes.txt"
    if data.is_file():
        try:
            names = msgspec.yaml.decode(data.read_bytes(), type=DataFile).names
        except msgspec.MsgspecError as error:
            raise BadInput(f"{data}: it must be YAML with a list of class names ({error})") from error
        by_index = names if isinstance(names, dict) else dict(enumerate(names))
        if sorted(by_index) != list(range(len(by_index))):
            raise BadInput(f"{data}: names must be numbered 0, 1, 2, …; got {sorted(by_index)[:20]}")
        labels = tuple(by_index[index] for index in range(len(by_index)))
    elif classes.is_file():
        lines = classes.read_text(encoding="utf-8", errors="replace").splitlines()
        labels = tuple(line.strip() for line in lines if line.strip())
    else:
        raise NotFound(f"data.path: neither data.yaml nor classes.txt, which name the classes, is in {root}")
    if not labels or len(set(labels)) < len(labels):
        raise BadInput(f"{data if data.is_file() else classes}: class names must be there, each once")
    return labels


def find_folders(root: Path) -> dict[SplitName, tuple[Path, Path]]:
    """Folders of pictures and of labels of every split that there is: images/train or train/images; else images is all
    there is, for training. Raises NotFound."""
    found: dict[SplitName, tuple[Path, Path]] = {}
    for split, names in SPLIT_FOLDERS.items():
        for name in names:
            for pictures, texts in (
                (root / PICTURES / name, root / LABELS / name),
                (root / name / PICTURES, root / name / LABELS),
            ):
                if pictures.is_dir():
                    found.setdefault(split, (pictures, texts))
    if "train" not in found:
        if found or not (root / PICTURES).is_dir():
            raise NotFound(f"data.path: {root} has none of the folders {PICTURES}/train, train/{PICTURES}, {PICTURES}")
        found["train"] = root / PICTURES, root / LABELS
    for _, texts in found.values():
        if not texts.is_dir():
            raise NotFound(f"data.path: the folder of labels {texts} is missing")
    return found


def read_part(pictures: Path, texts: Path, num_labels: int, problems: Problems) -> list[AnnotatedFile]:
    """Every picture of a split with its sound objects."""
    named = name_pictures(pictures, problems)
    for text in find_visible(texts, "**/*.txt"):
        name = inner_name(text, texts)
        if name not in named and text.name != "classes.txt":
            problems.add(text, f"it has no picture: {pictures / name} is missing, with any suffix")
    measured = measure_pictures(list(named.values()), problems)
    return [
        AnnotatedFile(path, read_objects(texts / f"{name}.txt", facts, num_labels, problems))
        for (name, path), facts in zip(named.items(), measured, strict=True)
    ]


def read_objects(path: Path, facts: PictureFacts, num_labels: int, problems: Problems) -> tuple[FileObject, ...]:
    """The sound objects of one file of labels; none where there is no file, or no picture to check them against."""
    if facts.complaint or not path.is_file():
        return ()
    objects: list[FileObject] = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            objects.append(parse_line(line.split(), facts, num_labels))
        except BadInput as error:
            problems.add(path, error, number)
    return tuple(objects)


def parse_line(words: Sequence[str], facts: PictureFacts, num_labels: int) -> FileObject:
    """One object. Raises BadInput."""
    if len(words) != 5:
        raise BadInput(f"{len(words)} words; a box takes 5: class, then centre x, centre y, width, height as shares")
    try:
        class_id, (x, y, width, height) = int(words[0]), (float(word) for word in words[1:])
    except ValueError as error:
        raise BadInput(f"{' '.join(words)[:80]!r} is not one whole number and four numbers") from error
    if not 0 <= class_id < num_labels:
        raise BadInput(f"class {class_id} is unknown; there are {num_labels} class names, from 0 on")
    left, right = (x - width / 2) * facts.width, (x + width / 2) * facts.width
    top, bottom = (y - height / 2) * facts.height, (y + height / 2) * facts.height
    return FileObject(class_id, check_box((left, top, right, bottom), facts.height, facts.width))
