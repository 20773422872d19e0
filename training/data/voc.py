"""Pascal VOC (Everingham et al., 2010): one XML file of boxes for each picture, and palette masks.

VOC counts pixels from 1 and includes the last one: xmin 1, xmax 500 is the whole of a picture 500 wide, here 0…500.
Objects marked "difficult" become crowds: finding them is neither right nor wrong, as in VOC's own evaluation. Boxes and
masks refer to the upright picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from tasks.errors import BadInput, NotFound
from training.data.annotated_file import AnnotatedFile, FileObject, open_annotated_files
from training.data.box import check_box
from training.data.config import VocConfig
from training.data.file_facts import PictureFacts, measure_pictures
from training.data.file_split import name_pictures
from training.data.mask_files import complain_of_masks
from training.data.problems import Problems
from training.data.source import AnnotatedSplitSource, SplitName
from training.data.xml_tree import MalformedXml, line_of, read_xml

VOC_LABELS = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
IMAGE_SETS: Mapping[SplitName, str] = {"train": "train.txt", "validation": "val.txt", "test": "test.txt"}
EDGES = ("xmin", "ymin", "xmax", "ymax")


def open_voc(config: VocConfig) -> AnnotatedSplitSource:
    """The source of a VOC folder. Raises NotFound, and BadInput with everything that is broken."""
    root, labels, problems = Path(config.path), config.labels or VOC_LABELS, Problems()
    mask_labels = ("background", *labels) if config.image_set == "Segmentation" else ()
    if not (root / "Annotations").is_dir():
        raise NotFound(f"data.path: {root} has no folder Annotations; it must be laid out as Pascal VOC")
    pictures = name_pictures(root / "JPEGImages", problems)
    parts: dict[SplitName, list[AnnotatedFile]] = {}
    for name, stems in list_stems(root, config.image_set, problems).items():
        found = {stem: pictures[stem] for stem in stems if stem in pictures}
        for stem in stems:
            if stem not in found:
                problems.add(root / "JPEGImages" / stem, "there is no picture of this name, with any suffix")
        parts[name] = read_part(root, found, labels, mask_labels, problems)
    problems.raise_any("voc")
    return open_annotated_files(labels, mask_labels, parts, config)


def read_part(
    root: Path, pictures: Mapping[str, Path], labels: Sequence[str], mask_labels: Sequence[str], problems: Problems
) -> list[AnnotatedFile]:
    """The pictures of one split, by name, with their sound objects. No mask labels: masks are not looked at."""
    facts = measure_pictures(list(pictures.values()), problems)
    masks = [root / "SegmentationClass" / f"{name}.png" for name in pictures]
    if mask_labels:
        complain_of_masks(masks, facts, len(mask_labels), problems)
    files: list[AnnotatedFile] = []
    for (name, path), fact, mask in zip(pictures.items(), facts, masks, strict=True):
        objects = read_objects(root / "Annotations" / f"{name}.xml", fact, labels, problems)
        files.append(AnnotatedFile(path, objects, mask.read_bytes if mask_labels else None))
    return files


def list_stems(root: Path, image_set: str, problems: Problems) -> dict[SplitName, list[str]]:
    """Names of the pictures of every split that the folder has; all for training where it has no list for that."""
    lists = {name: root / "ImageSets" / image_set / file for name, file in IMAGE_SETS.items()}
    if not lists["train"].is_file():
        return {"train": sorted(path.stem for path in (root / "Annotations").glob("*.xml"))}
    return {name: read_stems(path, problems) for name, path in lists.items() if path.is_file()}


def read_stems(path: Path, problems: Problems) -> list[str]:
    """One name a line."""
    lines: dict[str, int] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        stem = line.strip()
        if stem in lines:
            problems.add(path, f"{stem!r} is listed already in line {lines[stem]}", number)
        elif stem:
            lines[stem] = number
    return list(lines)


def read_objects(path: Path, facts: PictureFacts, labels: Sequence[str], problems: Problems) -> tuple[FileObject, ...]:
    """The sound objects of one XML file."""
    try:
        root = read_xml(path)
    except MalformedXml as error:
        problems.add(path, error, error.line)
        return ()
    if facts.complaint:
        return ()
    complain_of_size(path, root, facts, problems)
    objects: list[FileObject] = []
    for element in root.findall("object"):
        try:
            objects.append(read_object(element, facts, labels))
        except BadInput as error:
            problems.add(path, error, line_of(element))
    return tuple(objects)


def complain_of_size(path: Path, root: Element, facts: PictureFacts, problems: Problems) -> None:
    """Adds a problem where the file is about a picture of another size. Some tools write no size, or 0."""
    width, height = root.findtext("size/width", "0").strip(), root.findtext("size/height", "0").strip()
    if (width, height) not in (("0", "0"), (str(facts.width), str(facts.height))):
        complaint = f"it is about {width}×{height} pixels, the upright picture has {facts.width}×{facts.height}"
        problems.add(path, complaint, line_of(root))


def read_object(element: Element, facts: PictureFacts, labels: Sequence[str]) -> FileObject:
    """One <object>. Raises BadInput."""
    label = element.findtext("name", "").strip()
    if label not in labels:
        raise BadInput(f"class {label!r} is unknown; data.labels has {', '.join(labels)}")
    texts = [element.findtext(f"bndbox/{edge}", "").strip() for edge in EDGES]
    try:
        left, top, right, bottom = (float(text) for text in texts)
    except ValueError as error:
        raise BadInput(f"its bndbox has {', '.join(EDGES)} of {texts}; each must be a number") from error
    box = check_box((left - 1, top - 1, right, bottom), facts.height, facts.width)
    return FileObject(labels.index(label), box, element.findtext("difficult", "0").strip() == "1")
