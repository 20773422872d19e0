from __future__ import annotations

import json

import pytest

from serving.upstream.completion_body import completion_body
from tasks.errors import BadInput
from tasks.generation_params import GenerationParams


def test_only_what_differs_from_the_defaults_is_sent() -> None:
    body = completion_body("theirs", "Once", GenerationParams(max_tokens=9, temperature=0.5, stop=("\n",)))
    assert body == {
        "model": "theirs",
        "prompt": "Once",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 9,
        "temperature": 0.5,
        "stop": ("\n",),
    }


def test_a_schema_travels_as_a_value() -> None:
    body = completion_body("theirs", "Once", GenerationParams(json_schema='{"type": "object"}'))
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}


@pytest.mark.parametrize(
    "schema", ['{}}},"model":"expensive","x":{"y":{"z":{}', "{", "3", '"text"', "[" * 5_000, "\ud800"]
)
def test_a_schema_can_not_become_a_part_of_the_request(schema: str) -> None:
    with pytest.raises(BadInput, match="json_schema"):
        json.dumps(completion_body("theirs", "Once", GenerationParams(json_schema=schema)))


def test_log_probabilities_have_no_ids_there() -> None:
    with pytest.raises(BadInput, match="logprobs"):
        completion_body("theirs", "Once", GenerationParams(logprobs=2))
