"""Options of a detection request: what is understood, what is refused, and where the limits come from."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.detection import Detection, DetectionParams, DetectionSpec, SuppressionInside
from tasks.detection_spec import MAX_DETECTIONS, Thresholds, settle
from tasks.errors import BadInput, InvalidPackage
from tasks.image import ImageSpec
from tasks.task import open_task, parse_spec

SPEC = DetectionSpec(labels=("ant", "bee"), image=ImageSpec(height=24, width=32), min_score_threshold=0.05)
INSIDE = SuppressionInside(score_threshold=0.1, iou_threshold=0.6, max_detections=40)
SPEC_INSIDE = msgspec.structs.replace(SPEC, inside=INSIDE, max_detections=40)
TASK, TASK_INSIDE = Detection(SPEC), Detection(SPEC_INSIDE)


@pytest.mark.parametrize(
    ("given_", "meant"),
    [
        ({}, DetectionParams()),
        ({"score_threshold": "0.3"}, DetectionParams(score_threshold=0.3)),
        ({"score_threshold": 1}, DetectionParams(score_threshold=1.0)),
        ({"score_threshold": "0.05"}, DetectionParams(score_threshold=0.05)),
        ({"iou_threshold": "0", "max_detections": "7"}, DetectionParams(iou_threshold=0.0, max_detections=7)),
        ({"suppression": "soft", "overlay": "true"}, DetectionParams(suppression="soft", overlay=True)),
        ({"max_detections": MAX_DETECTIONS}, DetectionParams(max_detections=MAX_DETECTIONS)),
    ],
)
def test_options_may_come_as_text_or_number(given_, meant):
    assert TASK.parse_params(given_) == meant


@pytest.mark.parametrize("wrong", ["x", "", "nan", float("nan"), "inf", -0.1, 1.1, True, "0.049", 0])
def test_a_wrong_score_threshold_is_refused_with_its_limits(wrong):
    with pytest.raises(BadInput, match=r"score_threshold.*known: score_threshold \(0.05 to 1\)"):
        TASK.parse_params({"score_threshold": wrong})


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *[("iou_threshold", value) for value in (-1, 1.5, "nan", "x")],
        *[("max_detections", value) for value in (0, -1, 1001, "1e9", 2.5, "x", True)],
        *[("suppression", value) for value in ("", "hard", 1)],
        *[("overlay", value) for value in ("", "maybe", 2)],
    ],
)
def test_any_other_wrong_option_is_refused_by_name_with_its_limits(name, wrong):
    with pytest.raises(BadInput, match=rf"{name}.*known: .*iou_threshold \(0 to 1\), max_detections \(1 to 1000\)"):
        TASK.parse_params({name: wrong})


def test_an_unknown_option_is_refused_by_name():
    with pytest.raises(BadInput, match=r"`top_k`.*known: score_threshold"):
        TASK.parse_params({"top_k": 5})


@pytest.mark.parametrize(
    ("looser", "limit"),
    [
        ({"score_threshold": 0.09}, "score_threshold must be at least 0.1"),
        ({"iou_threshold": "0.61"}, "iou_threshold must be at most 0.6"),
        ({"max_detections": 41}, "max_detections must be at most 40"),
        ({"suppression": "soft"}, "suppression must be class_aware"),
        ({"suppression": "none"}, "suppression must be class_aware"),
        ({"suppression": "class_agnostic"}, "suppression must be class_aware"),
    ],
)
def test_a_graph_that_suppresses_by_itself_refuses_what_is_looser_and_says_whom_to_ask(looser, limit):
    with pytest.raises(BadInput, match=rf"{limit}; .*ask a variant without that"):
        TASK_INSIDE.parse_params(looser)
    TASK.parse_params(looser)


def test_a_graph_that_suppresses_by_itself_takes_what_is_as_strict_or_stricter():
    same = {"score_threshold": 0.1, "iou_threshold": 0.6, "max_detections": 40, "suppression": "class_aware"}
    assert settle(SPEC_INSIDE, TASK_INSIDE.parse_params(same)) == Thresholds(0.1, 0.6, 40, "class_aware")
    TASK_INSIDE.parse_params({"score_threshold": 0.9, "iou_threshold": 0.2, "max_detections": 1})
    TASK_INSIDE.parse_params({})


@given(
    st.dictionaries(
        st.sampled_from(["score_threshold", "iou_threshold", "max_detections", "suppression", "overlay"])
        | st.text(max_size=8),
        st.text(max_size=8) | st.integers() | st.floats() | st.booleans() | st.floats(0, 1).map(str),
    )
)
def test_what_is_accepted_is_within_the_limits_and_no_option_raises_anything_else(values):
    for task, loosest in ((TASK, Thresholds(0.05, 1.0, 1000, "none")), (TASK_INSIDE, Thresholds(0.1, 0.6, 40, "none"))):
        try:
            asked = settle(task.spec, task.parse_params(values))
        except BadInput as error:
            assert "known: score_threshold" in str(error)  # noqa: PT017
            continue
        assert loosest.score_threshold <= asked.score_threshold <= 1
        assert 0 <= asked.iou_threshold <= loosest.iou_threshold
        assert 1 <= asked.max_detections <= loosest.max_detections


def test_an_overlay_is_a_picture_of_the_callers_own():
    asked = TASK.parse_params(Detection.media_types["image/jpeg"])
    assert asked.wants_picture
    assert asked.wants_overlay
    assert not TASK.parse_params({}).wants_picture


@pytest.mark.parametrize("spec", [SPEC, SPEC_INSIDE])
def test_a_spec_survives_its_json_form(spec):
    facts = msgspec.json.decode(msgspec.json.encode(spec))
    assert parse_spec(facts) == spec
    assert open_task(parse_spec(facts)).labels == ("ant", "bee")


@pytest.mark.parametrize(
    "wrong",
    [
        {"labels": []},
        {"score_threshold": 2},
        {"iou_threshold": -1},
        {"max_detections": 0},
        {"suppression": "hard"},
        {"inside": {"score_threshold": 0.1}},
        {"min_score_threshold": 0.5},
    ],
)
def test_a_spec_with_a_wrong_fact_is_refused_by_name(wrong):
    facts = msgspec.json.decode(msgspec.json.encode(SPEC)) | wrong
    with pytest.raises(InvalidPackage, match=next(iter(wrong))):
        parse_spec(facts)


@pytest.mark.parametrize(
    "defaults",
    [
        {"score_threshold": 0.07},
        {"iou_threshold": 0.7},
        {"max_detections": 41},
        {"suppression": "soft"},
        {"suppression": "none"},
    ],
)
def test_defaults_looser_than_what_the_graph_has_applied_are_refused(defaults):
    with pytest.raises(InvalidPackage, match="looser than what the graph has applied"):
        parse_spec(msgspec.json.decode(msgspec.json.encode(SPEC_INSIDE)) | defaults)
