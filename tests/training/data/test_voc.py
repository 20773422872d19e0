from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.errors import BadInput, NotFound
from training.data.annotation import Annotation
from training.data.config import VocConfig
from training.data.digits import encode_png
from training.data.source import SPLITS, AnnotatedSplitSource, open_source
from training.data.voc import VOC_LABELS

HEIGHT, WIDTH = 10, 20


def element(label: str, edges: Sequence[object], extra: str = "") -> str:
    """One <object> on a line of its own."""
    names = ("xmin", "ymin", "xmax", "ymax")
    box = "".join(f"<{name}>{edge}</{name}>" for name, edge in zip(names, edges, strict=True))
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    return f"<object><name>{label}</name>{extra}<bndbox>{box}</bndbox>{part}</object>"


def annotate(root: Path, name: str, *objects: str, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    """A picture, its XML and its mask."""
    for folder in ("Annotations", "JPEGImages", "SegmentationClass"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    pixels = np.full((HEIGHT, WIDTH), len(list((root / "JPEGImages").iterdir())), np.uint8)
    (root / "JPEGImages" / f"{name}.png").write_bytes(encode_png(pixels))
    head = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    lines = ("<annotation>", head, *objects, "</annotation>")
    (root / "Annotations" / f"{name}.xml").write_text("\n".join(lines))
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[2:4], mask[5] = 12, 255
    picture = Image.fromarray(mask, "P")
    picture.putpalette([value for index in range(256) for value in (index, 128, 255 - index)])
    picture.save(root / "SegmentationClass" / f"{name}.png")


def list_set(root: Path, image_set: str, **lists: list[str]) -> None:
    folder = root / "ImageSets" / image_set
    folder.mkdir(parents=True)
    for name, stems in lists.items():
        (folder / f"{name}.txt").write_text("\n".join(stems) + "\n")


def open_voc(root: Path, **options: object) -> AnnotatedSplitSource:
    source = open_source(VocConfig(path=str(root), **options))  # type: ignore[arg-type]
    assert isinstance(source, AnnotatedSplitSource)
    return source


def only(source: AnnotatedSplitSource) -> Annotation:
    """The one annotation that has objects."""
    targets = [target for name in SPLITS for target in source.split(name).targets]
    (found,) = [target for target in targets if isinstance(target, Annotation) and len(target.boxes)]
    return found


def test_boxes_count_from_one_and_difficult_ones_are_crowds(tmp_path: Path) -> None:
    dog = element("dog", (1, 1, WIDTH, HEIGHT))
    cat = element("cat", (3, 2.5, 10, 9), "<difficult>1</difficult>")
    annotate(tmp_path, "a", dog, cat)
    for name in "bcd":
        annotate(tmp_path, name)
    source = open_voc(tmp_path, validation_fraction=0.25, test_fraction=0.25)
    assert source.labels == VOC_LABELS
    assert source.mask_labels == ()
    assert [len(source.split(name)) for name in SPLITS] == [2, 1, 1]
    found = only(source)
    assert found.boxes.tolist() == [[0, 0, WIDTH, HEIGHT], [2, 1.5, 10, 9]]
    assert [source.labels[index] for index in found.class_ids] == ["dog", "cat"]
    assert found.crowd.tolist() == [False, True]


def test_lists_decide_the_splits_and_missing_ones_are_drawn(tmp_path: Path) -> None:
    for name in "abcdef":
        annotate(tmp_path, name)
    list_set(tmp_path, "Main", train=["a", "b", "c", "d"], val=["e"])
    source = open_voc(tmp_path, test_fraction=0.5)
    assert [len(source.split(name)) for name in SPLITS] == [2, 1, 2]
    assert source.split("validation")[0].payload == (tmp_path / "JPEGImages" / "e.png").read_bytes()


def test_masks_are_palette_indices(tmp_path: Path) -> None:
    annotate(tmp_path, "a", element("dog", (1, 1, 5, 5)))
    for name in "bc":
        annotate(tmp_path, name)
    list_set(tmp_path, "Segmentation", train=["a"], val=["b"], test=["c"])
    source = open_voc(tmp_path, image_set="Segmentation")
    assert source.mask_labels == ("background", *VOC_LABELS)
    mask = only(source).mask()
    assert (mask[2:4] == 12).all()
    assert source.mask_labels[12] == "dog"
    assert (mask[5] == 255).all()


def test_everything_that_is_broken_is_named_at_once(tmp_path: Path) -> None:
    for name in "abcdefgh":
        annotate(tmp_path, name)
    annotate(
        tmp_path,
        "a",
        element("dog", (1, 1, 5, 5)),
        element("unicorn", (1, 1, 5, 5)),
        element("dog", (5, 1, 2, 5)),
        element("dog", (1, 1, "x", 5)),
        element("dog", (1, 1, 50, 5)),
    )
    annotate(tmp_path, "b", size=(99, 99))
    (tmp_path / "Annotations" / "c.xml").write_text("<annotation>\n<object>")
    (tmp_path / "Annotations" / "d.xml").unlink()
    (tmp_path / "JPEGImages" / "e.png").write_bytes(b"")
    (tmp_path / "SegmentationClass" / "f.png").unlink()
    (tmp_path / "SegmentationClass" / "g.png").write_bytes(encode_png(np.full((HEIGHT, WIDTH), 21, np.uint8)))
    (tmp_path / "SegmentationClass" / "h.png").write_bytes(encode_png(np.zeros((3, 3), np.uint8)))
    list_set(tmp_path, "Segmentation", train=[*"abcdefgh", "nowhere", "a"])
    with pytest.raises(BadInput) as caught:
        open_voc(tmp_path, image_set="Segmentation")
    message = str(caught.value)
    for line, complaint in ((4, "unicorn"), (5, "no area"), (6, "number"), (7, "outside")):
        assert any(f"a.xml:{line}: " in row and complaint in row for row in message.splitlines())
    assert "a.xml:3:" not in message
    for place in (
        "b.xml:1:",
        "c.xml:2:",
        "d.xml:1:",
        "e.png:",
        "f.png:",
        "g.png:",
        "h.png:",
        "nowhere:",
        "train.txt:10:",
    ):
        assert place in message


def test_a_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="Annotations"):
        open_voc(tmp_path)
