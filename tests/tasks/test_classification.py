"""Classification from bytes to answer: options, calibrated probabilities, tensors for the wire, signals."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.classification import Classification, ClassificationParams, ClassificationPrediction, ClassificationSpec
from tasks.errors import BadInput, InvalidPackage
from tasks.image import ImageSpec
from tasks.task import Category, Scalar, open_task, parse_spec
from tests.pictures import encode, scene

LABELS = ("ant", "bee", "cat", "dög")
SPEC = ClassificationSpec(labels=LABELS, image=ImageSpec(height=24, width=32), temperature=2.0)
TASK = Classification(SPEC)
finite_logits = st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=4)


def outputs_of(logits: object) -> dict[str, np.ndarray]:
    return {"logits": np.array(logits, np.float32), "embedding": np.arange(8, dtype=np.float32)}


def predict(logits: object, top_k: int = 5, spec: ClassificationSpec = SPEC) -> ClassificationPrediction:
    task = Classification(spec)
    sample = task.sample_from_tensor(np.zeros((24, 32, 3), np.uint8))
    return task.decode_output(outputs_of(logits), sample, ClassificationParams(top_k=top_k))


@pytest.mark.parametrize(("given_", "meant"), [("3", 3), (3, 3), (3.0, 3), ("1", 1)])
def test_top_k_may_come_as_text_or_number(given_, meant):
    assert TASK.parse_params({"top_k": given_}) == ClassificationParams(top_k=meant)
    assert TASK.parse_params({}).top_k == 5


@pytest.mark.parametrize("wrong", ["x", "", " 3", 2.5, True, 0, -1, "-1", float("nan"), float("inf")])
def test_a_wrong_top_k_is_refused_by_name(wrong):
    with pytest.raises(BadInput, match=r"top_k.*known: top_k"):
        TASK.parse_params({"top_k": wrong})


def test_an_unknown_option_is_refused_by_name():
    with pytest.raises(BadInput, match=r"`threshold`; known: top_k"):
        TASK.parse_params({"threshold": 0.5})


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8) | st.integers() | st.floats() | st.booleans()))
def test_no_option_raises_anything_else(values):
    try:
        assert TASK.parse_params(values).top_k >= 1
    except BadInput as error:
        assert "known: top_k" in str(error)  # noqa: PT017


@given(finite_logits, st.integers(1, 2**70))
def test_answers_are_ranked_probabilities(logits, top_k):
    prediction = predict(logits, top_k)
    scores = [c.score for c in prediction.classes]
    assert len(scores) == min(top_k, 4)
    assert scores == sorted(scores, reverse=True)
    assert 0 <= sum(scores) <= 1 + 1e-9
    assert prediction.classes[0].score == pytest.approx(max(predict(logits, 4).classes, key=lambda c: c.score).score)
    assert prediction.classes[0].class_id in np.flatnonzero(np.float32(logits) == np.float32(logits).max())
    assert [c.label for c in prediction.classes] == [LABELS[c.class_id] for c in prediction.classes]
    assert -1e-9 <= prediction.entropy <= np.log(4) + 1e-9


def test_the_temperature_softens_probabilities_and_keeps_the_order():
    sharp = predict([0, 1, 2, 3], spec=msgspec.structs.replace(SPEC, temperature=1.0))
    soft = predict([0, 1, 2, 3])
    expected = np.exp([1.5, 1.0, 0.5, 0.0]) / np.exp([1.5, 1.0, 0.5, 0.0]).sum()
    assert [c.score for c in soft.classes] == pytest.approx(expected.tolist())
    assert [c.label for c in soft.classes] == [c.label for c in sharp.classes] == ["dög", "cat", "bee", "ant"]
    assert soft.entropy > sharp.entropy


def test_a_tie_goes_to_the_lower_class_on_every_host():
    assert [c.class_id for c in predict([1, 1, 1, 1]).classes] == [0, 1, 2, 3]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_logits_that_are_not_numbers_are_the_models_fault(bad):
    with pytest.raises(InvalidPackage, match="4 finite numbers, one per label"):
        predict([0, bad, 0, 0])


@pytest.mark.parametrize("logits", [[1, 2, 3], [1, 2, 3, 4, 5], [[1, 2, 3, 4]], 1.0])
def test_logits_that_do_not_match_the_labels_are_the_models_fault(logits):
    with pytest.raises(InvalidPackage, match="one per label"):
        predict(logits)


@given(finite_logits, st.integers(1, 9))
def test_wire_tensors_are_what_the_metadata_promises(logits, top_k):
    prediction = predict(logits, top_k)
    tensors = TASK.wire_outputs(prediction)
    kinds = {"BYTES": np.dtype(object), "INT64": np.dtype(np.int64), "FP32": np.dtype(np.float32)}
    assert list(tensors) == [spec.name for spec in TASK.wire_specs()]
    for spec in TASK.wire_specs():
        assert tensors[spec.name].dtype == kinds[spec.dtype]
        assert tensors[spec.name].shape == (min(top_k, 4),)
        assert len(spec.shape) == tensors[spec.name].ndim + 1
    assert [label.decode() for label in tensors["labels"]] == [c.label for c in prediction.classes]


def test_signals_are_exactly_those_announced_and_of_their_kind():
    sample = TASK.sample_from_bytes(encode(scene(60, 90)))
    tensors = TASK.preprocess(sample)
    outputs = outputs_of([0, 0, 9, 0])
    prediction = TASK.decode_output(outputs, sample, ClassificationParams(top_k=1))
    signals = TASK.signals(sample, tensors, outputs, prediction)

    assert signals.keys() == TASK.signal_specs().keys()
    kinds = {"scalar": Scalar, "category": Category}
    for name, spec in TASK.signal_specs().items():
        assert isinstance(signals[name], kinds[spec.kind])
        assert np.isfinite(signals[name][0])
    assert signals["predicted_class"] == Category(2)
    assert TASK.signal_specs()["predicted_class"].categories == LABELS
    assert signals["width"] == Scalar(90.0)


def test_the_decision_is_the_most_probable_label():
    assert TASK.decision(predict([0, 5, 1, 2], top_k=1)) == "bee"


def test_a_spec_survives_its_json_form():
    facts = msgspec.json.decode(msgspec.json.encode(SPEC))
    assert parse_spec(facts) == SPEC
    assert open_task(parse_spec(facts)).labels == LABELS


@pytest.mark.parametrize("wrong", [{"labels": []}, {"temperature": 0}, {"colour": "red"}, {"image": {"height": 1}}])
def test_a_spec_with_a_wrong_fact_is_refused_by_name(wrong):
    facts = msgspec.json.decode(msgspec.json.encode(SPEC)) | wrong
    with pytest.raises(InvalidPackage, match=next(iter(wrong))):
        parse_spec(facts)
