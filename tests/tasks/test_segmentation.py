"""Segmentation from outputs to answer: every format tells of the same mask, at the size of the original."""

from __future__ import annotations

import io

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tasks.errors import BadInput, InvalidPackage, Unsupported
from tasks.image import ImageSpec
from tasks.label_grid import NOT_SEEN
from tasks.rle import decode_labels
from tasks.segmentation import Segmentation, SegmentationSpec
from tasks.task import Scalar, WeightedBins, open_task, parse_spec
from tests.pictures import encode, exif, scene

LABELS = ("background", "ant", "bee", "cät")
HEIGHT, WIDTH = 24, 32
FITS = st.sampled_from(["stretch", "letterbox", "crop"])


def segmenter(fit="stretch", labels=LABELS):
    return Segmentation(SegmentationSpec(labels=labels, image=ImageSpec(height=HEIGHT, width=WIDTH, fit=fit)))


TASK = segmenter()


def some_mask(seed=0):
    blocks = np.random.default_rng(seed).integers(0, len(LABELS), (HEIGHT // 8, WIDTH // 8))
    return np.kron(blocks, np.ones((8, 8))).astype(np.uint8)


def outputs_of(mask, confidence=(0.9, 0.8, 0.7, 0.6)):
    return {
        "mask": mask,
        "confidence": np.array(confidence, np.float32),
        "embedding": np.arange(8, dtype=np.float32),
    }


def tensor_sample():
    return TASK.sample_from_tensor(np.zeros((HEIGHT, WIDTH, 3), np.uint8))


def predict(mask, task=TASK, sample=None, **options):
    return task.decode_output(outputs_of(mask), sample or tensor_sample(), task.parse_params(options))


def of_rle(prediction):
    return decode_labels({segment.class_id: segment.rle for segment in prediction.segments})


def area_of_rings(rings):
    points = [np.array(ring).reshape(-1, 2).T for ring in rings]
    return sum((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2 for x, y in points)


@given(st.integers(0, 99), st.integers(1, 90), st.integers(1, 90), st.integers(1, 8), FITS)
def test_all_formats_tell_of_one_mask_at_the_size_of_the_upright_original(seed, height, width, turn, fit):
    task = segmenter(fit)
    sample = task.sample_from_bytes(encode(scene(height, width), "JPEG", exif=exif(turn)))
    size = (width, height) if turn >= 5 else (height, width)
    rle, polygons, png = (predict(some_mask(seed), task, sample, format=name) for name in ("rle", "polygons", "png"))
    pixels = np.asarray(Image.open(io.BytesIO(png.png)))
    assert pixels.shape == size
    np.testing.assert_array_equal(of_rle(rle), pixels)
    for prediction in (rle, polygons, png):
        assert (prediction.height, prediction.width) == size
        assert [(s.class_id, s.area) for s in prediction.segments] == [
            (label, pytest.approx((pixels == label).mean())) for label in np.unique(pixels) if label != NOT_SEEN
        ]
    for segment in polygons.segments:
        assert segment.rle is None
        assert area_of_rings(segment.polygons) == (pixels == segment.class_id).sum()


def test_a_tensor_is_its_own_original():
    mask = some_mask()
    np.testing.assert_array_equal(of_rle(predict(mask)), mask)


def test_a_segment_says_its_label_and_confidence():
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:6] = 3
    prediction = predict(mask)
    assert [(s.label, s.class_id, s.area) for s in prediction.segments] == [
        ("background", 0, 0.75),
        ("cät", 3, 0.25),
    ]
    assert [s.confidence for s in prediction.segments] == pytest.approx([0.9, 0.6])


def test_json_holds_the_format_asked_for_and_no_other():
    by_format = {name: msgspec.to_builtins(predict(some_mask(), format=name)) for name in ("rle", "polygons")}
    assert by_format["rle"]["segments"][0].keys() == {"label", "class_id", "area", "confidence", "rle"}
    assert by_format["rle"]["segments"][0]["rle"].keys() == {"size", "counts"}
    assert by_format["polygons"]["segments"][0].keys() == {"label", "class_id", "area", "confidence", "polygons"}
    assert by_format["rle"].keys() == {"height", "width", "segments"}


def test_a_picture_of_sixty_megapixels_is_answered_in_few_bytes():
    sample = TASK.sample_from_bytes(encode(Image.new("L", (9000, 6500)), "PNG"))
    mask = some_mask()
    rle = predict(mask, sample=sample)
    assert (rle.height, rle.width) == (6500, 9000)
    assert sum(segment.area for segment in rle.segments) == pytest.approx(1)
    polygons = predict(mask, sample=sample, format="polygons")
    assert sum(area_of_rings(segment.polygons) for segment in polygons.segments) == 6500 * 9000
    assert len(msgspec.json.encode(polygons)) < 10_000


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"mask": np.zeros((HEIGHT, WIDTH), np.int64)}, r"uint8 \[24, 32\]"),
        ({"mask": np.zeros((WIDTH, HEIGHT), np.uint8)}, r"uint8 \[24, 32\]"),
        ({"mask": np.full((HEIGHT, WIDTH), 4, np.uint8)}, "class 4"),
        ({"mask": np.full((HEIGHT, WIDTH), 255, np.uint8)}, "class 255"),
        ({"confidence": np.ones(3, np.float32)}, r"float32 \[4\]"),
        ({"confidence": np.ones(4, np.int64)}, r"float32 \[4\]"),
        ({"confidence": np.array([1, np.nan, 1, 1], np.float32)}, "finite"),
        ({"confidence": np.array([1, np.inf, 1, 1], np.float32)}, "finite"),
    ],
)
def test_outputs_that_can_not_be_right_are_the_models_fault(changed, told):
    with pytest.raises(InvalidPackage, match=told):
        TASK.decode_output(outputs_of(some_mask()) | changed, tensor_sample(), TASK.parse_params({}))


@pytest.mark.parametrize(
    ("given_", "wants_picture"),
    [({}, False), ({"format": "polygons"}, False), ({"format": "png"}, True), ({"overlay": "true"}, True)],
)
def test_options_say_whether_a_picture_is_wanted(given_, wants_picture):
    assert TASK.parse_params(given_).wants_picture is wants_picture


@pytest.mark.parametrize("wrong", [{"format": "jpeg"}, {"overlay": "perhaps"}, {"top_k": 1}, {"format": 1}])
def test_wrong_options_are_refused_by_name(wrong):
    with pytest.raises(BadInput, match=rf"{next(iter(wrong))}.*known: format \(rle, polygons or png\), overlay"):
        TASK.parse_params(wrong)


def test_media_types_mean_what_is_then_drawn():
    payload = encode(scene(50, 70))
    sample = TASK.sample_from_bytes(payload)
    for media_type, options in TASK.media_types.items():
        params = TASK.parse_params(options)
        assert params.wants_picture
        prediction = TASK.decode_output(outputs_of(some_mask()), sample, params)
        drawn = TASK.draw(payload, prediction, params)
        assert drawn.media_type == media_type
        assert Image.open(io.BytesIO(drawn.content)).size == (70, 50)


def test_a_drawing_needs_the_mask():
    payload, params = encode(scene(50, 70)), TASK.parse_params({"format": "polygons"})
    prediction = TASK.decode_output(outputs_of(some_mask()), TASK.sample_from_bytes(payload), params)
    with pytest.raises(Unsupported, match="overlay"):
        TASK.draw(payload, prediction, params)


@pytest.mark.parametrize("format_", ["rle", "polygons", "png"])
def test_wire_tensors_are_what_the_metadata_promises(format_):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:6] = 2
    prediction = predict(mask, format=format_)
    tensors = TASK.wire_outputs(prediction)
    kinds = {"BYTES": np.dtype(object), "FP32": np.dtype(np.float32)}
    assert list(tensors) == [spec.name for spec in TASK.wire_specs()]
    for spec in TASK.wire_specs():
        assert tensors[spec.name].dtype == kinds[spec.dtype]
        assert tensors[spec.name].shape == spec.shape[1:]
    np.testing.assert_allclose(tensors["class_shares"], [0.75, 0, 0.25, 0])
    np.testing.assert_allclose(tensors["class_confidences"], [0.9, 0, 0.7, 0], rtol=1e-6)
    content = tensors["segmentation"].item()
    assert content == (prediction.png if format_ == "png" else msgspec.json.encode(prediction))


def test_signals_are_exactly_those_announced_and_weigh_what_was_seen():
    task = segmenter("crop")
    sample = task.sample_from_bytes(encode(scene(24, 64)))
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, 24:] = 1
    outputs, tensors = outputs_of(mask), task.preprocess(sample)
    prediction = task.decode_output(outputs, sample, task.parse_params({}))
    signals = task.signals(sample, tensors, outputs, prediction)
    assert signals.keys() == task.signal_specs().keys()
    kinds = {"scalar": Scalar, "weighted": WeightedBins}
    for name, spec in task.signal_specs().items():
        assert isinstance(signals[name], kinds[spec.kind])
        assert np.isfinite(signals[name][0]).all()
    assert task.signal_specs()["class_share"].categories == LABELS
    np.testing.assert_allclose(signals["class_share"].weights, [0.75, 0.25, 0, 0])
    assert signals["mask_confidence"].value == pytest.approx(0.75 * 0.9 + 0.25 * 0.8)
    assert signals["boundary_length"].value == pytest.approx(HEIGHT / (HEIGHT * WIDTH))


def test_the_decision_is_the_largest_class_that_is_not_background():
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    assert TASK.decision(predict(mask)) == "nothing"
    mask[0, :3], mask[1, :2] = 2, 3
    assert TASK.decision(predict(mask)) == "bee"
    named = segmenter(labels=("sky", "ant", "bee", "cat"))
    assert named.decision(predict(mask, named)) == "sky"


def test_a_spec_survives_its_json_form():
    facts = msgspec.json.decode(msgspec.json.encode(TASK.spec))
    assert parse_spec(facts) == TASK.spec
    assert open_task(parse_spec(facts)).labels == LABELS


@pytest.mark.parametrize("wrong", [{"labels": []}, {"labels": ["one"] * 256}, {"temperature": 1}])
def test_a_spec_with_a_wrong_fact_is_refused_by_name(wrong):
    facts = msgspec.json.decode(msgspec.json.encode(TASK.spec)) | wrong
    with pytest.raises(InvalidPackage, match=next(iter(wrong))):
        parse_spec(facts)
