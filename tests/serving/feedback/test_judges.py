from __future__ import annotations

import base64
import io
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from serving.feedback.given import Feedback, TrueObject, read_feedback, read_feedbacks
from serving.feedback.judge_classification import ClassificationJudge
from serving.feedback.judge_detection import DetectionJudge
from serving.feedback.judge_segmentation import SegmentationJudge, WholeMask
from serving.feedback.judge_text import Said, TextJudge, remembered
from tasks.errors import BadInput, TidegateError, TooLarge, Unsupported

LABELS = ("cat", "dog", "7")
MANY = tuple(f"class {number}" for number in range(50))


def feedback(**truth: Any) -> Feedback:
    return Feedback(request_id="a", **truth)


def detections(*found: tuple[int, tuple[float, float, float, float]]) -> bytes:
    return msgspec.json.encode({"detections": [{"class_id": one, "box": box} for one, box in found]})


def png(mask: Any, mode: str | None = None) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(mask)
    (picture.convert(mode) if mode else picture).save(buffer, "PNG")
    return buffer.getvalue()


@settings(max_examples=30)
@given(arrays(np.float32, (3, 50), elements=st.floats(-10, 10, width=32)))
def test_the_best_five_of_many_classes_are_those_of_a_full_sort(logits: Any) -> None:
    judge = ClassificationJudge(MANY)
    for row, said in zip(logits, judge.recall_rows({"logits": logits}), strict=True):
        ranked = np.frombuffer(said, "<u4")
        assert row[ranked].tolist() == np.sort(row)[::-1][:5].tolist()


def test_a_name_goes_before_an_index() -> None:
    said = ClassificationJudge(LABELS).recall_given(b'{"classes": [{"label": "7"}]}')
    for label in ("7", 2):
        verdict = ClassificationJudge(LABELS).judge(said, feedback(label=label))
        assert verdict.truth == {"label": "7", "class_id": 2}
        assert verdict.told["correct"]


def test_an_object_is_matched_once_and_by_its_class() -> None:
    judge = DetectionJudge(LABELS)
    said = judge.recall_given(detections((0, (0, 0, 10, 10)), (0, (0, 0, 10, 9)), (1, (0, 0, 10, 10))))
    verdict = judge.judge(said, feedback(objects=(TrueObject(label="cat", box=(0, 0, 10, 10)),)))
    assert verdict.told == {"true_positive": 1, "false_positive": 2, "missed": 0}


@pytest.mark.parametrize(("height", "is_match"), [(5.0, True), (4.9, False)])
def test_half_of_the_union_is_enough(height: float, is_match: bool) -> None:
    judge = DetectionJudge(LABELS)
    said = judge.recall_given(detections((0, (0, 0, 10, height))))
    told = judge.judge(said, feedback(objects=(TrueObject(label="cat", box=(0, 0, 10, 10)),))).told
    assert told["true_positive"] == is_match


BOX = st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(21, 40), st.integers(21, 40))
BOXES = st.lists(st.tuples(st.integers(0, 2), BOX), max_size=6)


@settings(max_examples=30)
@given(BOXES, BOXES)
def test_what_is_found_and_what_is_missed_add_up(found: Any, true: Any) -> None:
    judge = DetectionJudge(LABELS)
    objects = tuple(TrueObject(label=one, box=box) for one, box in true)
    told = judge.judge(judge.recall_given(detections(*found)), feedback(objects=objects)).told
    assert told["true_positive"] + told["false_positive"] == len(found)
    assert told["true_positive"] + told["missed"] == len(true)


def test_an_empty_box_is_refused() -> None:
    with pytest.raises(BadInput, match="left < right"):
        DetectionJudge(LABELS).judge(b"", feedback(objects=(TrueObject(label="cat", box=(5, 5, 5, 9)),)))


MASKS = arrays(np.uint8, (4, 6), elements=st.sampled_from([0, 1, 2, 255]))


@settings(max_examples=30)
@given(MASKS, MASKS)
def test_intersections_never_exceed_unions(true: Any, answered: Any) -> None:
    verdict = SegmentationJudge(LABELS, 100).judge(WholeMask(answered), feedback(mask=png(true)))
    for label, iou in verdict.told["iou"].items():
        shared = np.count_nonzero((true == LABELS.index(label)) & (answered == LABELS.index(label)))
        assert 0 <= iou <= 1
        assert (iou > 0) == (shared > 0)


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        (png(np.full((4, 6), 3, np.uint8)), "the value 3; with these labels it may have 0 to 2, or 255"),
        (png(np.zeros((4, 6, 3), np.uint8)), "mode RGB; send a PNG with one value"),
        (png(np.arange(24, dtype=np.uint8).reshape(4, 6))[:45], "the mask is damaged"),
        (b"no mask", "not an image"),
        (png(np.zeros((40, 60), np.uint8)), "at most 100 pixels"),
    ],
)
def test_a_mask_that_can_not_be_right_is_refused(mask: bytes, told: str) -> None:
    with pytest.raises(BadInput) as raised:
        SegmentationJudge(LABELS, 100).judge(WholeMask(np.zeros((4, 6), np.uint8)), feedback(mask=mask))
    assert told in str(raised.value)


def test_words_are_compared_without_case_and_punctuation() -> None:
    judge = TextJudge()
    verdict = judge.judge(Said("A cat, on a mat."), feedback(references=("the dog", "a CAT on A mat")))
    assert verdict.told == {"exact": True, "token_f1": 1.0}
    verdict = judge.judge(Said("a cat sat"), feedback(references=("a cat",)))
    assert verdict.told == {"exact": False, "token_f1": pytest.approx(2 * 2 / 5)}
    assert judge.judge(Said("…"), feedback(references=("!",))).told["token_f1"] == 1.0
    assert judge.judge(Said(""), feedback(references=("word",))).told["token_f1"] == 0.0


def test_an_answer_too_long_to_be_remembered_can_only_be_rated() -> None:
    judge, said = TextJudge(), remembered("word " * 10_000)
    assert judge.judge(said, feedback(rating="down")).told == {"rating": 0.0}
    with pytest.raises(TooLarge, match="send a rating alone"):
        judge.judge(said, feedback(references=("word",)))


@pytest.mark.parametrize(
    ("judge", "prediction", "told"),
    [
        (ClassificationJudge(LABELS), b'{"classes": []}', "one class or more"),
        (ClassificationJudge(LABELS), b'{"classes": [{}]}', "class_id or label"),
        (ClassificationJudge(LABELS), b'"cat"', "prediction must be"),
        (DetectionJudge(LABELS), b'{"detections": [{"box": [0, 0, 1, 1]}]}', "class_id or label"),
        (SegmentationJudge(LABELS, 100), b"{}", "no segment"),
        (SegmentationJudge(LABELS, 100), b'{"segments": [{"class_id": 0}]}', "run lengths and PNG"),
        (
            SegmentationJudge(LABELS, 100),
            b'{"segments": [{"class_id": 0, "rle": {"size": [99999, 99999], "counts": "0"}}]}',
            "at most 100",
        ),
        (TextJudge(), b"{}", "holds no text"),
    ],
)
def test_a_prediction_that_can_not_have_been_answered_is_refused(judge: Any, prediction: bytes, told: str) -> None:
    with pytest.raises((BadInput, Unsupported)) as raised:
        judge.recall_given(prediction)
    assert told in str(raised.value)


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        for one in read_feedbacks(body):
            read_feedback(bytes(one))
    except TidegateError:
        pass


def test_masks_are_base64_in_json() -> None:
    body = msgspec.json.encode({"request_id": "a", "mask": base64.b64encode(b"png").decode(), "prediction": None})
    given = read_feedback(body)
    assert (given.mask, given.attached, given.fields) == (b"png", b"", ("mask",))
