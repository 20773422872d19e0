from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import BadInput, NotFound
from training.data.annotation import Annotation
from training.data.config import YoloConfig
from training.data.digits import encode_png
from training.data.file_facts import PictureFacts
from training.data.source import SPLITS, AnnotatedSplitSource, open_source
from training.data.yolo import parse_line

HEIGHT, WIDTH = 10, 20
FACTS = PictureFacts(HEIGHT, WIDTH)


def fill(pictures: Path, labels: Path, **files: str | None) -> None:
    """One picture for each name, and its labels, or none."""
    pictures.mkdir(parents=True)
    labels.mkdir(parents=True)
    for index, (name, text) in enumerate(files.items()):
        pixels = np.full((HEIGHT, WIDTH), index + len(str(pictures)), np.uint8)
        (pictures / f"{name}.png").write_bytes(encode_png(pixels))
        if text is not None:
            (labels / f"{name}.txt").write_text(text)


def open_yolo(root: Path) -> AnnotatedSplitSource:
    source = open_source(YoloConfig(path=str(root), validation_fraction=0.25, test_fraction=0.25))
    assert isinstance(source, AnnotatedSplitSource)
    return source


def test_lines_become_boxes_and_no_file_means_no_objects(tmp_path: Path) -> None:
    text = "1 0.5 0.5 0.5 0.2\n\n0 0.25 0.25 0.5 0.5\n"
    fill(tmp_path / "images", tmp_path / "labels", a=text, b="", c=None, d=None)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    source = open_yolo(tmp_path)
    assert source.labels == ("cat", "dog")
    assert source.mask_labels == ()
    assert [len(source.split(name)) for name in SPLITS] == [2, 1, 1]
    targets = [target for name in SPLITS for target in source.split(name).targets]
    (found,) = [target for target in targets if isinstance(target, Annotation) and len(target.boxes)]
    assert np.allclose(found.boxes, [[5, 4, 15, 6], [0, 0, 10, 5]])
    assert found.class_ids.tolist() == [1, 0]


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("names", ["names: [cat, dog]", "path: /elsewhere\nnames:\n  1: dog\n  0: cat\nnc: 2\n"])
def test_both_usual_layouts_are_understood(tmp_path: Path, inside: bool, names: str) -> None:
    for split in ("train", "valid", "test"):
        folders = [Path(split, kind) if inside else Path(kind, split) for kind in ("images", "labels")]
        fill(tmp_path / folders[0], tmp_path / folders[1], a="1 0.5 0.5 1 1")
    (tmp_path / "data.yaml").write_text(names)
    source = open_yolo(tmp_path)
    assert source.labels == ("cat", "dog")
    assert [len(source.split(name)) for name in SPLITS] == [1, 1, 1]


def test_everything_that_is_broken_is_named_at_once(tmp_path: Path) -> None:
    lines = "0 .5 .5 .2 .2\n2 .5 .5 .2 .2\n0 .5 .5 -.2 .2\n0 .5 .5 .2\ncat .5 .5 .2 .2\n0 .9 .5 .6 .2\n0 nan .5 .2 .2"
    fill(tmp_path / "images", tmp_path / "labels", a=lines, b=None, c=None, d=None)
    (tmp_path / "images" / "b.png").write_bytes(b"no picture")
    (tmp_path / "images" / "c.jpg").write_bytes((tmp_path / "images" / "c.png").read_bytes())
    (tmp_path / "labels" / "orphan.txt").write_text("0 .5 .5 .2 .2")
    (tmp_path / "classes.txt").write_text("cat\ndog")
    with pytest.raises(BadInput) as caught:
        open_yolo(tmp_path)
    message = str(caught.value)
    for line in range(2, 8):
        assert f"a.txt:{line}: " in message
    assert "a.txt:1:" not in message
    for place in ("b.png:", "c.png:", "orphan.txt:"):
        assert place in message


@given(
    st.integers(0, 4),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0.01, 1),
    st.floats(0.01, 1),
)
def test_a_box_inside_the_picture_survives_its_line(
    class_id: int, x: float, y: float, width: float, height: float
) -> None:
    x, y = width / 2 + x * (1 - width), height / 2 + y * (1 - height)
    found = parse_line(f"{class_id} {x} {y} {width} {height}".split(), FACTS, 5)
    assert found.class_id == class_id
    left, top, right, bottom = found.box
    assert (left + right) / 2 == pytest.approx(x * WIDTH, abs=1e-6)
    assert (top + bottom) / 2 == pytest.approx(y * HEIGHT, abs=1e-6)
    assert right - left == pytest.approx(width * WIDTH, abs=1e-6)
    assert bottom - top == pytest.approx(height * HEIGHT, abs=1e-6)


@given(st.lists(st.text(min_size=1, max_size=6) | st.floats().map(str) | st.integers().map(str), max_size=6))
def test_any_line_is_read_or_refused(words: list[str]) -> None:
    try:
        found = parse_line(words, FACTS, 5)
    except BadInput:
        return
    assert 0 <= found.class_id < 5
    assert 0 <= found.box.left < found.box.right <= WIDTH


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("data.yaml", "names: {1: cat, 2: dog}", "numbered"),
        ("data.yaml", "names: [cat, [", "YAML"),
        ("data.yaml", "nc: 3", "names"),
        ("data.yaml", "names: [cat, cat]", "once"),
        ("classes.txt", "\n\n", "classes.txt"),
    ],
)
def test_class_names_that_cannot_be_told_are_refused(tmp_path: Path, name: str, content: str, complaint: str) -> None:
    fill(tmp_path / "images", tmp_path / "labels", a=None)
    (tmp_path / name).write_text(content)
    with pytest.raises(BadInput, match=complaint):
        open_yolo(tmp_path)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"data\.yaml"):
        open_yolo(tmp_path)
    (tmp_path / "classes.txt").write_text("cat")
    with pytest.raises(NotFound, match="images/train"):
        open_yolo(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(NotFound, match="labels"):
        open_yolo(tmp_path)
    (tmp_path / "labels").mkdir()
    with pytest.raises(NotFound, match="no pictures"):
        open_yolo(tmp_path)
