"""What was captured and labelled, as data that training opens."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from monitoring.captured import ROWS_SUFFIX, TRUTH_SUFFIX, Batch, CapturedRow, TruthRow
from monitoring.parquet_rows import write_rows
from tasks.chat_template import ChatTemplate
from tasks.errors import BadInput
from training.data.added import NothingNew
from training.data.annotation import Annotation
from training.data.captured_layouts import draw_prompts
from training.data.captured_snapshot import Captured, holds_other_models, is_captured
from training.data.source import SPLITS, Example, open_part, open_source
from training.recipe import TaskName

NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
TURNED = 6
"""EXIF's word for a picture whose rows are its columns."""
CHAT = "{% for message in messages %}<{{ message.role }}>{{ message.content }}{% endfor %}<assistant>"


def picture(shade: int, format: str = "PNG", orientation: int = 1) -> bytes:
    """40 × 20 pixels."""
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.full((20, 40, 3), shade, np.uint8)).save(stream, format, exif=exif)
    return stream.getvalue()


def png(mask: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, "PNG")
    return stream.getvalue()


class Capture:
    """A folder as servers write it. Each call is a batch of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._number = 0

    def add(self, sent: bytes | str, truth: dict[str, Any] | None = None, mask: bytes = b"") -> None:
        """A picture or prompt, and what somebody said of it."""
        batch = self._open()
        folder, request_id = batch.folder(self.root), f"request-{self._number}"
        name = f"{batch.stem}.0001.{'png' if isinstance(sent, str) or sent[1:4] == b'PNG' else 'jpg'}"
        if isinstance(sent, bytes):
            (folder / name).write_bytes(sent)
        prompt, name = (sent, "") if isinstance(sent, str) else ("", name)
        row = CapturedRow(request_id, 0, NOON, "m", "1", "fp32", "", "{}", "{}", name, prompt)
        write_rows(folder / f"{batch.stem}{ROWS_SUFFIX}", [row])
        if truth is None:
            return
        batch, mask_name = self._open(), ""
        if mask:
            mask_name = f"{batch.stem}.mask.0001.png"
            (folder / mask_name).write_bytes(mask)
        told = TruthRow(request_id, 0, NOON, "1", json.dumps(truth), mask_name)
        write_rows(folder / f"{batch.stem}{TRUTH_SUFFIX}", [told])

    def snapshot(
        self, task: TaskName, labels: tuple[str, ...] = (), known: Sequence[Path] = (), chat: ChatTemplate | None = None
    ) -> Any:
        return Captured(self.root, "m", task, labels, chat).take_snapshot(self.root.parent / "kept", known)

    def learn(self, task: TaskName, labels: tuple[str, ...] = ()) -> list[Example]:
        """Every example of the snapshot, of whatever split."""
        source = open_source(self.snapshot(task, labels))
        return [example for name in SPLITS for example in source.split(name)]

    def _open(self) -> Batch:
        self._number += 1
        batch = Batch.opened("m", NOON, "0a0b0c0d", self._number)
        batch.folder(self.root).mkdir(parents=True, exist_ok=True)
        return batch


@pytest.fixture
def capture(tmp_path: Path) -> Capture:
    return Capture(tmp_path / "captured")


def annotation(example: Example) -> Annotation:
    assert isinstance(example.target, Annotation)
    return example.target


def test_pictures_of_a_class_each(capture: Capture) -> None:
    for shade in range(8):
        capture.add(picture(shade), {"label": "cat" if shade % 2 else "a dog", "class_id": shade % 2})
    capture.add(picture(100))
    capture.add(picture(101), {"rating": 1.0})
    found = {(example.payload, example.target) for example in capture.learn("classification", ("a dog", "cat"))}
    assert found == {(picture(shade), shade % 2) for shade in range(8)}


def test_a_class_alone_is_learnt_beside_others(capture: Capture) -> None:
    capture.add(picture(7), {"label": "cat", "class_id": 1})
    assert open_part(capture.snapshot("classification", ("a dog", "cat"))).labels == ("cat",)


def test_too_little_to_hold_anything_out_is_nothing_new(capture: Capture) -> None:
    capture.add(picture(7), {"objects": [{"label": "cat", "class_id": 0, "box": [1.0, 1.0, 5.0, 5.0]}]})
    with pytest.raises(NothingNew, match="too little has a label yet"):
        capture.snapshot("detection", ("cat",))


def test_boxes_of_upright_pictures(capture: Capture) -> None:
    objects = [{"label": "buoy", "class_id": 1, "box": [2.0, 4.0, 10.0, 12.5]}]
    for shade in range(0, 80, 10):
        capture.add(picture(shade, "JPEG", TURNED), {"objects": objects if shade else []})
    found = {example.payload: annotation(example) for example in capture.learn("detection", ("ship", "buoy"))}
    assert len(found) == 8
    assert len(found.pop(picture(0, "JPEG", TURNED)).class_ids) == 0, "that there is nothing is worth knowing too"
    for target in found.values():
        assert target.class_ids.tolist() == [1]
        np.testing.assert_allclose(target.boxes, [[2.0, 4.0, 10.0, 12.5]], atol=1e-4)


def test_masks(capture: Capture) -> None:
    mask = np.zeros((20, 40), np.uint8)
    mask[3:9, 5:20], mask[0] = 1, 255
    for shade in range(8):
        capture.add(picture(shade), {}, png(mask))
    found = capture.learn("segmentation", ("ground", "thing"))
    assert len(found) == 8
    for example in found:
        masked = annotation(example).mask()
        np.testing.assert_array_equal(masked, mask)


def test_captions(capture: Capture) -> None:
    for shade in range(8):
        capture.add(picture(shade), {"references": [f"shade {shade}", "a plain picture"], "rating": 0.1})
    found = {example.payload: annotation(example).captions for example in capture.learn("captioning")}
    assert found == {picture(shade): (f"shade {shade}", "a plain picture") for shade in range(8)}


def test_texts_go_on_from_their_prompts(capture: Capture, tmp_path: Path) -> None:
    for number in range(8):
        capture.add(f"{number}, ", {"references": [f"then {number + 1}"]})
    assert {example.payload.decode() for example in capture.learn("text_generation")} == {
        f"{number}, then {number + 1}" for number in range(8)
    }


def test_texts_of_one_prompt_stay_together(capture: Capture) -> None:
    for number in range(12):
        capture.add(f"{number}, ", {"references": [f"then {n}" for n in range(3)]})
        capture.add(f"{number}, ", {"references": [f"said {number} again"]})
    source = open_source(capture.snapshot("text_generation"))
    found = {name: [example.payload.decode() for example in source.split(name)] for name in SPLITS}
    assert sum(map(len, found.values())) == 48
    prompts = [{text.partition(", ")[0] for text in texts} for texts in found.values()]
    assert all(prompts)
    assert sum(map(len, prompts)) == 12, "no prompt is in two splits"


def test_two_prompts_are_too_few(capture: Capture) -> None:
    for number in range(2):
        capture.add(f"{number}, ", {"references": ["one", "two", "three"]})
    with pytest.raises(NothingNew, match="2 different prompts have a label"):
        capture.snapshot("text_generation")
    assert list((capture.root.parent / "kept").iterdir()) == []


@given(st.sets(st.text(max_size=5), min_size=3, max_size=60))
def test_every_split_has_a_prompt_and_many_stay_where_they_were(prompts: set[str]) -> None:
    drawn = draw_prompts(prompts)
    assert (set(drawn), set(drawn.values())) == (prompts, set(SPLITS))
    many = {f"prompt {number}" for number in range(200)}
    before, after = draw_prompts(many), draw_prompts(many | prompts)
    assert {prompt: after[prompt] for prompt in many} == before


def test_conversations_are_learnt_as_the_model_reads_them(capture: Capture, tmp_path: Path) -> None:
    (tmp_path / "chat.jinja").write_text(CHAT)
    chat = ChatTemplate(tmp_path / "chat.jinja", {}, 1000)
    for number in range(4):
        said = json.dumps([{"role": "user", "content": f"{number}?"}])
        capture.add(said, {"references": [f"{number}!"]})
        capture.add(f"[{number}, ", {"references": ["5]"]})
    source = open_source(capture.snapshot("text_generation", chat=chat))
    texts = {example.payload.decode() for name in SPLITS for example in source.split(name)}
    assert texts == {f"<user>{n}?<assistant>{n}!" for n in range(4)} | {f"[{n}, 5]" for n in range(4)}


def test_a_snapshot_outlives_what_it_was_taken_of(capture: Capture) -> None:
    for shade in range(8):
        capture.add(picture(shade), {"label": str(shade % 2), "class_id": shade % 2})
    taken = capture.snapshot("classification")
    assert capture.snapshot("classification") == taken
    digest = open_source(taken).digest
    for path in [*capture.root.rglob("*.*")]:
        path.unlink()
    assert open_source(taken).digest == digest
    assert [path.name for path in Path(taken.path).parent.iterdir()] == [Path(taken.path).name]


def test_what_an_earlier_snapshot_holds_is_not_taken_again(capture: Capture) -> None:
    for shade in range(8):
        capture.add(picture(shade), {"label": str(shade % 2), "class_id": shade % 2})
    first = capture.snapshot("classification")
    with pytest.raises(NothingNew, match="learnt from everything labelled there already"):
        capture.snapshot("classification", known=[Path(first.path)])
    for shade in range(20, 28):
        capture.add(picture(shade), {"label": str(shade % 2), "class_id": shade % 2})
    second = capture.snapshot("classification", known=[Path(first.path)])
    assert {path.read_bytes() for path in Path(second.path).rglob("*.png")} == {picture(n) for n in range(20, 28)}


def test_of_the_same_picture_the_last_label_counts(capture: Capture) -> None:
    for label in ("0", "1"):
        capture.add(picture(5), {"label": label, "class_id": int(label)})
    taken = capture.snapshot("classification")
    assert [path.relative_to(taken.path).parent for path in Path(taken.path).rglob("*.png")] == [Path("1")]


def test_a_folder_is_captured_if_it_holds_rows_of_the_model(capture: Capture) -> None:
    assert not is_captured(capture.root, "m")
    capture.add(picture(1))
    assert is_captured(capture.root, "m")
    assert not is_captured(capture.root, "another")
    (capture.root / "table.toml").write_text('source = "digits"')
    assert not is_captured(capture.root / "table.toml", "m")


@pytest.mark.parametrize(
    ("name", "captured"),
    [("2026-11-21/120000000000-a-000001.1.png", True), ("2026-11-21/1.png", False), ("a/120000000000-a-000001", False)],
)
def test_pictures_whose_rows_are_still_gathered_are_no_class(capture: Capture, name: str, captured: bool) -> None:
    file = capture.root / "m" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(picture(1))
    assert is_captured(capture.root, "m") == holds_other_models(capture.root) == captured
    with pytest.raises(NothingNew, match="nothing has a label"):
        capture.snapshot("classification", ("a dog", "cat"))


def test_without_labels_there_is_nothing_to_learn(capture: Capture) -> None:
    capture.add(picture(1))
    with pytest.raises(NothingNew, match=r"nothing has a label; send some to /v1/models/m/feedback"):
        capture.snapshot("classification")


def test_a_class_that_is_no_name_for_a_directory_is_refused(capture: Capture) -> None:
    capture.add(picture(1), {"label": "../up", "class_id": 0})
    with pytest.raises(BadInput, match=r"'../up' can not be the name of a directory"):
        capture.snapshot("classification", ("../up",))
    assert list((capture.root.parent / "kept").iterdir()) == []
