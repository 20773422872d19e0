"""Errors as OpenAI's clients expect them: by status and `type` they choose the exception that they raise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from serving.answer import Answer, Wording, error_answer, internal_error
from serving.status import wire_message
from tasks.errors import BadInput, DeadlineExceeded, ErrorKind, TidegateError

TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "service_unavailable_error",
    504: "timeout_error",
}
"""Status → `type`; every other one is an invalid_request_error."""
CODES: Mapping[ErrorKind, str] = {
    ErrorKind.UNAUTHENTICATED: "invalid_api_key",
    ErrorKind.NOT_FOUND: "model_not_found",
    ErrorKind.TOO_LARGE: "request_too_large",
    ErrorKind.OVERLOADED: "overloaded",
    ErrorKind.NOT_READY: "not_ready",
    ErrorKind.DEADLINE_EXCEEDED: "deadline_exceeded",
    ErrorKind.UNSUPPORTED: "unsupported",
}
FIELD = re.compile(r"`\$\.(\w+)")
"""Where msgspec says what is wrong."""
DO_NOT_RETRY = (b"x-should-retry", b"false")
"""The official clients repeat what failed with 5xx, two times unless told: to give up after the same time again."""


class BadField(BadInput):
    """A field of the request that can not be right."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def openai_error_answer(error: TidegateError) -> Answer:
    """`{"error": {message, type, param, code}}` under the status of the error's kind."""
    plain = error_answer(error)
    # Clients take 501 for a server that fails, and repeat what no repetition will make supported.
    status = 400 if error.kind == ErrorKind.UNSUPPORTED else plain.status
    headers = (*plain.headers, DO_NOT_RETRY) if isinstance(error, DeadlineExceeded) else plain.headers
    body = error_body(wire_message(error), status, field_of(error), CODES.get(error.kind))
    return Answer(status, headers, msgspec.json.encode(body))


def openai_internal_error(request_id: bytes) -> Answer:
    plain = internal_error(request_id)
    told = msgspec.json.decode(plain.body)["error"]
    return Answer(plain.status, plain.headers, msgspec.json.encode(error_body(told, plain.status)))


def error_body(message: str, status: int, field: str | None = None, code: str | None = None) -> dict[str, Any]:
    kind = TYPES.get(status, "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": field, "code": code}}


def field_of(error: TidegateError) -> str | None:
    """The field that the error is about, if it says so."""
    if isinstance(error, BadField):
        return error.field
    found = FIELD.search(str(error)) if isinstance(error, BadInput) else None
    return found[1] if found else None


OPENAI_WORDING = Wording(openai_error_answer, openai_internal_error)
