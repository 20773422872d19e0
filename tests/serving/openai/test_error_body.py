from __future__ import annotations

import msgspec
import pytest

from serving.openai.error_body import BadField, openai_error_answer, openai_internal_error
from tasks.errors import (
    BadInput,
    DeadlineExceeded,
    NotFound,
    NotReady,
    Overloaded,
    TidegateError,
    TooLarge,
    Unsupported,
)


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (BadInput("x"), 400, "invalid_request_error", None),
        (TooLarge("x"), 413, "invalid_request_error", "request_too_large"),
        (NotFound("x"), 404, "invalid_request_error", "model_not_found"),
        (Unsupported("x"), 400, "invalid_request_error", "unsupported"),
        (Overloaded("x", 7), 429, "rate_limit_error", "overloaded"),
        (NotReady("x"), 503, "service_unavailable_error", "not_ready"),
        (DeadlineExceeded("x"), 504, "timeout_error", "deadline_exceeded"),
    ],
)
def test_errors_take_the_form_that_clients_know(error: TidegateError, status: int, kind: str, code: str | None) -> None:
    answer = openai_error_answer(error)
    assert answer.status == status
    told = {"message": "x", "type": kind, "param": None, "code": code}
    assert msgspec.json.decode(answer.body) == {"error": told}


def test_headers_say_when_to_try_again() -> None:
    assert (b"retry-after", b"7") in openai_error_answer(Overloaded("x", 7)).headers
    assert (b"x-should-retry", b"false") in openai_error_answer(DeadlineExceeded("x")).headers


@pytest.mark.parametrize(
    ("error", "field"),
    [
        (BadField("stop", "too many"), "stop"),
        (BadInput("Expected `float` <= 5.0 - at `$.temperature`"), "temperature"),
        (BadInput("Expected `int`, got `str` - at `key` in `$.logit_bias`"), "logit_bias"),
        (BadInput("Expected `str` - at `$.stop[3]`"), "stop"),
        (BadInput("the prompt is empty"), None),
    ],
)
def test_the_field_is_named(error: TidegateError, field: str | None) -> None:
    assert msgspec.json.decode(openai_error_answer(error).body)["error"]["param"] == field


def test_a_fault_of_ours_tells_its_id_alone() -> None:
    answer = openai_internal_error(b"id-7")
    assert answer.status == 500
    assert "id-7" in msgspec.json.decode(answer.body)["error"]["message"]
