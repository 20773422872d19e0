"""Detection from a picture's bytes to the answer: original pixels, tensors for the wire, signals."""

from __future__ import annotations

import io
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tasks.detection import Detection, DetectionParams, DetectionPrediction, DetectionSpec, SuppressionInside
from tasks.errors import InvalidPackage
from tasks.image import ImageSpec, place_image
from tasks.task import Sample, Scalar, WeightedBins
from tests.pictures import encode, scene

LABELS = ("ant", "bee", "dög")
SPEC = DetectionSpec(labels=LABELS, image=ImageSpec(height=48, width=64))
TASK = Detection(SPEC)
fits = st.sampled_from(["stretch", "letterbox", "crop"])
sides = st.integers(1, 5000)
boxes_anywhere = st.lists(
    st.tuples(*[st.floats(-500, 500, width=32)] * 4, st.floats(0, 1, width=32)), min_size=1, max_size=12
)


def outputs_of(*rows: tuple[tuple[float, ...], tuple[float, ...]]) -> dict[str, np.ndarray]:
    """Candidates, each a box and its scores."""
    return {
        "boxes": np.array([box for box, _ in rows], np.float32).reshape(-1, 4),
        "scores": np.array([scores for _, scores in rows], np.float32).reshape(-1, len(LABELS)),
        "embedding": np.arange(8, dtype=np.float32),
    }


TWO_BEES_AND_A_DOG = outputs_of(
    ((8, 6, 24, 18), (0, 0.75, 0)),
    ((8, 6, 24, 17), (0, 0.5, 0)),  # the same bee
    ((40, 30, 56, 42), (0, 0.96, 0.35)),  # and perhaps a dog
    ((0, 0, 4, 4), (0.2, 0.2, 0.2)),
)


def sample_of(height: int, width: int, spec: DetectionSpec = SPEC) -> Sample:
    return Sample(np.zeros((1, 1, 3), np.uint8), place_image(height, width, spec.image))


def predict(outputs: dict[str, np.ndarray], height: int = 96, width: int = 256, **asked: object) -> DetectionPrediction:
    return TASK.decode_output(outputs, sample_of(height, width), TASK.parse_params(asked))


def test_objects_are_listed_best_first_in_pixels_of_the_original():
    prediction = predict(TWO_BEES_AND_A_DOG)
    assert (prediction.width, prediction.height) == (256, 96)
    assert [(one.label, one.class_id) for one in prediction.detections] == [("bee", 1), ("bee", 1), ("dög", 2)]
    assert [one.score for one in prediction.detections] == pytest.approx([0.96, 0.75, 0.35])
    assert [one.box for one in prediction.detections] == [
        pytest.approx((160, 60, 224, 84)),
        pytest.approx((32, 12, 96, 36)),
        pytest.approx((160, 60, 224, 84)),
    ]


@pytest.mark.parametrize(
    ("asked", "decision"),
    [
        ({}, "2×bee, 1×dög"),
        ({"score_threshold": 0.4}, "2×bee"),
        ({"score_threshold": "0.1"}, "1×ant, 3×bee, 2×dög"),
        ({"score_threshold": 0.97}, "nothing"),
        ({"max_detections": 1}, "1×bee"),
        ({"iou_threshold": 0.99}, "3×bee, 1×dög"),
        ({"suppression": "none"}, "3×bee, 1×dög"),
        ({"suppression": "class_agnostic"}, "2×bee"),
        ({"suppression": "soft", "score_threshold": 0.01}, "1×ant, 4×bee, 2×dög"),
    ],
)
def test_options_of_a_request_decide_what_is_found(asked, decision):
    assert TASK.decision(predict(TWO_BEES_AND_A_DOG, **asked)) == decision


def test_options_left_out_are_those_of_the_spec():
    spec = msgspec.structs.replace(SPEC, score_threshold=0.4, max_detections=7, suppression="none")
    prediction = Detection(spec).decode_output(TWO_BEES_AND_A_DOG, sample_of(48, 64), DetectionParams())
    assert Detection(spec).decision(prediction) == "3×bee"
    assert prediction.max_detections == 7


@given(sides, sides, fits, boxes_anywhere)
def test_every_box_lies_in_the_picture_and_has_an_area(height, width, fit, found):
    spec = msgspec.structs.replace(SPEC, image=ImageSpec(height=48, width=64, fit=fit), suppression="none")
    task = Detection(spec)
    outputs = outputs_of(*[(tuple(box), (score, 0, 0)) for *box, score in found])
    for one in task.decode_output(outputs, sample_of(height, width, spec), DetectionParams()).detections:
        left, top, right, bottom = one.box
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height


@given(sides, sides, fits, st.tuples(*[st.floats(0, 1)] * 4))
def test_an_object_is_found_where_it_is_in_the_original(height, width, fit, shares):
    """A box drawn in the original goes to the input, as the model would see it, and comes back the same."""
    spec = msgspec.structs.replace(SPEC, image=ImageSpec(height=48, width=64, fit=fit))
    (left, right), (top, bottom) = sorted(shares[:2]), sorted(shares[2:])
    box = np.array([[left * width, top * height], [right * width, bottom * height]])
    placement = place_image(height, width, spec.image)
    corners = placement.to_input(box)
    if ((corners[1] - corners[0]) < 0.1).any():
        return  # thinner than float32 resolves far from the origin
    outputs = outputs_of((tuple(corners.ravel().tolist()), (0.9, 0, 0)))
    (one,) = Detection(spec).decode_output(outputs, sample_of(height, width, spec), DetectionParams()).detections
    tolerance = 1e-3 * max(1, 1 / placement.scale_x, 1 / placement.scale_y) + 1e-6 * max(height, width)
    assert np.abs(np.array(one.box) - box.ravel()).max() <= tolerance


def test_a_box_in_the_padding_is_dropped_and_one_that_reaches_out_is_clipped():
    spec = msgspec.structs.replace(SPEC, image=ImageSpec(height=64, width=64, fit="letterbox"))
    outputs = outputs_of(
        ((10, 2, 20, 14), (0.9, 0, 0)), ((-9, 8, 32, 32), (0.8, 0, 0)), ((30, 20, 30, 40), (0.7, 0, 0))
    )
    prediction = Detection(spec).decode_output(outputs, sample_of(100, 200, spec), DetectionParams())
    assert [one.box for one in prediction.detections] == [pytest.approx((0, 0, 100, 50))]


def test_dropped_boxes_count_as_the_graph_with_suppression_inside_counts_them():
    """That graph knows no padding, so the best box takes the one place, whether or not it can be seen."""
    inside = SuppressionInside(score_threshold=0.25, iou_threshold=0.5, max_detections=1)
    spec = msgspec.structs.replace(SPEC, image=ImageSpec(height=64, width=64, fit="letterbox"), max_detections=1)
    spec_inside = msgspec.structs.replace(spec, inside=inside)
    outputs = outputs_of(((10, 2, 20, 14), (0.9, 0, 0)), ((4, 20, 32, 40), (0.8, 0, 0)))
    kept = {
        "kept_boxes": outputs["boxes"][:1],
        "kept_scores": np.float32([0.9]),
        "kept_class_ids": np.array([0]),
        "num_kept": np.int64(1),
    }
    sample = sample_of(100, 200, spec)
    assert Detection(spec).decode_output(outputs, sample, DetectionParams()).detections == ()
    assert Detection(spec_inside).decode_output(kept, sample, DetectionParams()).detections == ()


def test_a_tensor_is_answered_in_its_own_pixels():
    sample = TASK.sample_from_tensor(np.zeros((48, 64, 3), np.uint8))
    prediction = TASK.decode_output(TWO_BEES_AND_A_DOG, sample, TASK.parse_params({"max_detections": 1}))
    assert prediction.detections[0].box == pytest.approx((40, 30, 56, 42))


def test_an_answer_is_json_that_says_what_is_where():
    told = msgspec.json.decode(msgspec.json.encode(predict(TWO_BEES_AND_A_DOG, max_detections=1)))
    (one,) = told.pop("detections")
    assert told == {"width": 256, "height": 96, "max_detections": 1}
    assert one.pop("score") == pytest.approx(0.96)
    assert one == {"label": "bee", "class_id": 1, "box": [160, 60, 224, 84]}


def test_a_broken_answer_is_the_models_fault():
    with pytest.raises(InvalidPackage, match="scores that are not finite"):
        predict(TWO_BEES_AND_A_DOG | {"scores": np.full((4, 3), math.nan, np.float32)})


@given(boxes_anywhere, st.integers(1, 20))
def test_wire_tensors_are_what_the_metadata_promises_and_stack(found, max_detections):
    many = predict(outputs_of(*[(tuple(b), (0, s, s)) for *b, s in found]), max_detections=max_detections)
    none = predict(outputs_of(), max_detections=max_detections)
    kinds = {"BYTES": np.dtype(object), "INT64": np.int64, "FP32": np.float32, "INT32": np.int32}
    rows = [TASK.wire_outputs(many), TASK.wire_outputs(none)]
    for spec in TASK.wire_specs():
        stacked = np.stack([row[spec.name] for row in rows])
        assert stacked.dtype == kinds[spec.dtype]
        wanted = (2, max_detections, 4)[: len(spec.shape)]
        assert stacked.shape == wanted
        assert all(promised in (-1, size) for promised, size in zip(spec.shape, stacked.shape, strict=True))
    assert [set(row) for row in rows] == [{spec.name for spec in TASK.wire_specs()}] * 2


def test_wire_tensors_hold_the_objects_and_then_padding():
    prediction = predict(TWO_BEES_AND_A_DOG, max_detections=4)
    tensors = TASK.wire_outputs(prediction)
    assert tensors["num_detections"] == 3
    assert tensors["detection_labels"].tolist() == [b"bee", b"bee", "dög".encode(), b""]
    assert tensors["detection_class_ids"].tolist() == [1, 1, 2, 0]
    assert tensors["detection_scores"].tolist() == pytest.approx([0.96, 0.75, 0.35, 0])
    np.testing.assert_allclose(tensors["detection_boxes"][1:], [[32, 12, 96, 36], [160, 60, 224, 84], [0, 0, 0, 0]])


def signals_of(outputs: dict[str, np.ndarray]) -> dict[str, object]:
    sample = TASK.sample_from_bytes(encode(scene(60, 90)))
    prediction = TASK.decode_output(outputs, sample, TASK.parse_params({}))
    return TASK.signals(sample, TASK.preprocess(sample), outputs, prediction)


def test_signals_are_exactly_those_announced_and_of_their_kind():
    signals = signals_of(TWO_BEES_AND_A_DOG)
    assert signals.keys() == TASK.signal_specs().keys()
    kinds = {"scalar": Scalar, "weighted": WeightedBins}
    for name, spec in TASK.signal_specs().items():
        assert isinstance(signals[name], kinds[spec.kind])
        assert np.isfinite(signals[name][0]).all()
        if spec.kind == "weighted":
            assert len(signals[name].weights) == len(spec.categories)
            assert signals[name].weights.sum() == pytest.approx(1)


def test_signals_tell_what_was_found():
    signals = signals_of(TWO_BEES_AND_A_DOG)
    assert signals["num_boxes"] == Scalar(3.0)
    assert signals["top_score"].value == pytest.approx(0.96)
    assert signals["class_mix"].weights == pytest.approx([0, 2 / 3, 1 / 3])
    named = dict(
        zip(TASK.signal_specs()["score_histogram"].categories, signals["score_histogram"].weights, strict=True)
    )
    assert {name: weight for name, weight in named.items() if weight} == {
        "0.3 to 0.4": pytest.approx(1 / 3),
        "0.7 to 0.8": pytest.approx(1 / 3),
        "0.9 to 1": pytest.approx(1 / 3),
    }
    assert signals["box_area"].value == pytest.approx(math.log(16 * 12 / (64 * 48)))


def test_without_boxes_there_is_nothing_to_say_of_them():
    signals = signals_of(outputs_of(((0, 0, 9, 9), (0.2, 0, 0))))
    assert TASK.signal_specs().keys() - signals.keys() == {"score_histogram", "class_mix", "box_area"}
    assert signals["num_boxes"] == Scalar(0.0)
    assert signals["top_score"].value == pytest.approx(0.2)


def test_a_perfect_score_has_a_bin():
    assert signals_of(outputs_of(((0, 0, 9, 9), (1, 0, 0))))["score_histogram"].weights[-1] == 1


def test_the_answer_can_be_drawn_on_the_picture():
    payload = encode(Image.new("RGB", (256, 96), "white"))
    params = TASK.parse_params({"overlay": True})
    sample = TASK.sample_from_bytes(payload)
    picture = TASK.draw(payload, TASK.decode_output(TWO_BEES_AND_A_DOG, sample, params), params)
    assert picture.media_type in Detection.media_types
    drawn = np.asarray(Image.open(io.BytesIO(picture.content)))
    assert drawn.shape == (96, 256, 3)
    assert drawn[36 - 1, 40:80].min(axis=-1).max() < 128  # the lower edge of the first bee
