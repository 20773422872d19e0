"""What changed, as a person sees it: the truth, before and after, of each kind of model."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.contact_sheet import BETTER, FADED, WORSE
from export.exemplar_tiles import draw_change, draw_changes
from export.forgotten import Change
from export.held_out import Item, decode_batches
from export.subject import Example as AnyExample
from export.subject import Subject
from export.verify import Variant
from tasks.classification import Classification, ClassificationPrediction, ClassScore
from tasks.detection import DetectedObject, Detection, DetectionPrediction, DetectionSpec
from tasks.image import ImageSpec
from tasks.segmentation import Segmentation, SegmentationSpec
from tasks.task import Task
from tests.export_subjects import SPEC, Colour, colour
from tests.populations import forgotten_of
from training.data.annotation import Annotation
from training.data.source import Example


def change(worth_before: float = 1.0, worth_after: float = 0.0, num_seeds: int = 2) -> Change:
    return Change(
        index=0,
        truth="truth",
        before="red",
        after="blue",
        seed=0,
        num_seeds=num_seeds,
        worth_before=worth_before,
        worth_after=worth_after,
    )


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def item_of(task: Task, example: AnyExample) -> Item:
    return next(decode_batches(task, [example]))[0]


def says(label: str, score: float) -> ClassificationPrediction:
    return ClassificationPrediction(classes=(ClassScore(label, 0, score),), entropy=0.1)


@pytest.mark.parametrize(("after", "colour_of_it"), [(0.0, WORSE), (0.5, FADED), (1.0, BETTER)])
def test_words_say_what_changed_and_how_sure_it_was(after: float, colour_of_it: tuple[int, int, int]) -> None:
    task = Classification(SPEC)
    item = item_of(task, colour(0))
    tile = draw_change(task, item, says("red", 0.9), says("blue", 0.4), change(0.5, after), 3)
    assert [line.text for line in tile.lines] == ["truth truth", "before red 90%", "after blue 40%", "2 of 3 seeds"]
    assert tile.lines[2].colour == colour_of_it
    assert len(tile.panels) == 1
    alone = draw_change(task, item, says("red", 0.9), says("blue", 0.4), change(num_seeds=1), 1)
    assert len(alone.lines) == 3


def test_boxes_are_drawn_three_times() -> None:
    task = Detection(DetectionSpec(labels=("cat",), image=ImageSpec(height=32, width=32)))
    annotation = Annotation(np.array([(4, 4, 20, 20)], np.float32), np.zeros(1, np.int64), np.zeros(1, np.bool_))
    example = Example(png(np.full((32, 32, 3), 90, np.uint8)), annotation)
    found = DetectedObject("cat", 0, 0.9, (4.0, 4.0, 20.0, 20.0))
    before, after = (
        DetectionPrediction(width=32, height=32, max_detections=9, detections=objects) for objects in ((found,), ())
    )
    tile = draw_change(task, item_of(task, example), before, after, change(), 1)
    truth, drawn, missing = (pixels_of(panel) for panel in tile.panels)
    assert drawn.std() > missing.std() + 5
    assert truth.std() > missing.std() + 5


def test_masks_are_drawn_three_times() -> None:
    task = Segmentation(SegmentationSpec(labels=("background", "cat"), image=ImageSpec(height=32, width=32)))
    mask = np.zeros((32, 32), np.uint8)
    mask[8:24, 8:24] = 1
    empty = Annotation(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_), png(mask))
    item = item_of(task, Example(png(np.full((32, 32, 3), 90, np.uint8)), empty))
    outputs = [{"mask": each, "confidence": np.full(2, 0.9, np.float32)} for each in (mask, np.zeros_like(mask))]
    before, after = (task.decode_output(each, item.sample, task.parse_params({})) for each in outputs)
    tile = draw_change(task, item, before, after, change(), 1)
    truth, drawn, missing = (pixels_of(panel) for panel in tile.panels)
    assert drawn.std() > missing.std() + 5
    assert np.abs(truth.astype(int) - drawn).mean() < 5


def pixels_of(encoded: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))


def test_models_are_asked_again_about_what_is_shown(subject: Subject, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    subject.write_graph(path, 20)
    examples: dict[int, Colour] = {10 + place: colour(place) for place in range(3)}
    forgotten = forgotten_of(["cat"] * 3, ["cat"] * 3, ["dog", "dog", "cat"])
    task = Classification(SPEC)
    sheet = draw_changes(subject, [Variant(path, task)], forgotten, examples, ["a title"])
    assert Image.open(io.BytesIO(sheet)).format == "PNG"
