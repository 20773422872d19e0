"""What a caller asks for, however it is spelled, over what the model prefers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import BadInput
from tasks.generation_params import MAX_STOPS, GenerationParams
from tasks.parse_generation import parse_generation

VOCABULARY = 100


def parse(values: dict[str, object], **defaults: float) -> GenerationParams:
    return parse_generation(values, defaults, VOCABULARY)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given_", "meant"),
    [
        ({"max_tokens": "7", "temperature": "0.5"}, {"max_tokens": 7, "temperature": 0.5}),
        ({"ignore_end": "true", "seed": "3"}, {"ignore_end": True, "seed": 3}),
        ({"seed": "-1"}, {}),
        ({"seed": None}, {}),
        ({"seed": "-7"}, {"seed": -7}),
        ({"stop": "end"}, {"stop": ("end",)}),
        ({"stop": '["a", "b"]'}, {"stop": ("a", "b")}),
        ({"stop": ["a", "b"]}, {"stop": ("a", "b")}),
        ({"stop": "[not JSON"}, {"stop": ("[not JSON",)}),
        ({"stop": "[1, 2]"}, {"stop": ("[1, 2]",)}),
        ({"logit_bias": '{"5": -1.5}'}, {"logit_bias": {5: -1.5}}),
        ({"logit_bias": {"5": 2}}, {"logit_bias": {5: 2.0}}),
        ({"logit_bias": {5: 2}}, {"logit_bias": {5: 2.0}}),
        ({"json_schema": {"type": "object"}}, {"json_schema": '{"type":"object"}'}),
        ({"json_schema": '{"type": "object"}'}, {"json_schema": '{"type": "object"}'}),
    ],
)
def test_strings_and_values_mean_the_same(given_: dict[str, object], meant: dict[str, object]) -> None:
    assert parse(given_) == GenerationParams(**meant)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": "nan"}, "top_p"),
        ({"min_p": 1.5}, "min_p"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"length_penalty": float("nan")}, "length_penalty"),
        ({"seed": 2**63}, "seed"),
        ({"seed": -(2**63) - 1}, "seed"),
        ({"seed": 10**30}, "seed"),
        ({"n": 17}, r"\$.n"),
        ({"logprobs": 21}, "logprobs"),
        ({"logit_bias": "5"}, "logit_bias"),
        ({"logit_bias": "{5: 1}"}, "logit_bias must be a JSON object"),
        ({"logit_bias": "[" * 10**5}, "logit_bias must be a JSON object"),
        ({"logit_bias": {"100": 1}}, "names token 100; the model has tokens 0 to 99"),
        ({"logit_bias": {"-1": 1}}, "logit_bias"),
        ({"logit_bias": {"5": 100.5}}, "logit_bias"),
        ({"logit_bias": {"5": "nan"}}, "logit_bias"),
        ({"logit_bias": {"5": "inf"}}, "logit_bias"),
        ({"logit_bias": {str(token): 1 for token in range(2000)}}, "logit_bias"),
        ({"stop": [""]}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stop": ["x" * 300]}, "stop"),
        ({"stop": ["x"] * 10_000}, f"length <= {MAX_STOPS}"),
        ({"stop": json.dumps(["x"] * 10_000)}, f"length <= {MAX_STOPS}"),
        ({"num_beams": 2, "n": 3}, r"n \(3\) must not be above num_beams \(2\)"),
        ({"num_beams": 2, "top_p": 0.5}, "samples nothing"),
        ({"num_beams": 2, "seed": 1}, "samples nothing"),
        ({"num_beams": 2, "temperature": 0.5}, "samples nothing"),
        ({"json_schema": "{}", "regex": "a"}, "exclude each other"),
        ({"tmperature": 1}, "`tmperature`; known: max_tokens, temperature"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(wrong: dict[str, object], complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        parse(wrong)


def test_the_model_s_preferences_hold_where_nothing_is_said() -> None:
    assert parse({}, temperature=0.6, top_k=50.0) == GenerationParams(temperature=0.6, top_k=50)
    assert parse({"temperature": 1}, temperature=0.6, top_k=50) == GenerationParams(temperature=1.0, top_k=50)


def test_what_is_asked_for_pushes_out_preferences_that_contradict_it() -> None:
    assert parse({"num_beams": "4"}, top_p=0.9, max_tokens=9) == GenerationParams(num_beams=4, max_tokens=9)
    assert parse({"top_p": 0.5}, num_beams=4, length_penalty=0.5) == GenerationParams(top_p=0.5)
    assert parse({"num_beams": 1}, top_p=0.9) == GenerationParams(top_p=0.9)
    assert parse({"seed": 3}, num_beams=4) == GenerationParams(seed=3)


@pytest.mark.parametrize("seed", [-1, "-1", None])
def test_any_seed_is_no_wish_to_sample(seed: object) -> None:
    assert parse({"seed": seed}, num_beams=4) == GenerationParams(num_beams=4)
    assert parse({"seed": seed, "num_beams": 2}) == GenerationParams(num_beams=2)


values = st.text(max_size=6) | st.integers() | st.floats() | st.booleans() | st.lists(st.text(max_size=2), max_size=3)


@given(st.dictionaries(st.sampled_from([*GenerationParams.__struct_fields__, "x"]), values, max_size=4))
def test_no_request_raises_anything_else(asked: dict[str, object]) -> None:
    try:
        assert parse(asked, temperature=0.7, top_k=5).max_tokens >= 1
    except BadInput as error:
        assert str(error)  # noqa: PT017
