"""FastAPI applications that answer errors in this project's form: `{"error": …}` for everything that is not a 200."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from serving.answer import JSON_TYPE, Answer, error_answer, json_answer, linger, method_not_allowed
from serving.http_body import UnreadBody, read_body
from tasks.errors import BadInput, TidegateError


def new_api(title: str) -> FastAPI:
    """An application without routes. Its own documentation pages are off: they load scripts from the internet."""
    api = FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    api.add_exception_handler(TidegateError, answer_tidegate_error)
    api.add_exception_handler(HTTPException, answer_http_exception)
    api.add_exception_handler(RequestValidationError, answer_validation_error)
    api.add_exception_handler(Exception, answer_unexpected)
    return api


async def answer_tidegate_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, TidegateError)
    return to_response(error_answer(error))


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """Unknown routes and wrong methods."""
    assert isinstance(error, HTTPException)
    method, path = request.method, request.url.path
    if error.status_code == 405 and error.headers:
        return to_response(method_not_allowed(method, path, error.headers["Allow"].encode()))
    told = f"there is no {path[:200]}" if error.status_code == 404 else error.detail
    headers = tuple((name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items())
    return to_response(Answer(error.status_code, (JSON_TYPE, *headers), msgspec.json.encode({"error": told})))


async def answer_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    places = "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors())
    return to_response(error_answer(BadInput(f"the request is not valid: {places}")))


async def answer_unexpected(request: Request, error: Exception) -> Response:
    """The framework raises the error again after this answer, and whoever called it writes the log."""
    return to_response(json_answer({"error": "internal error; the server's log has the details"}, 500))


def to_response(answer: Answer) -> Response:
    response = Response(answer.body, answer.status)
    for name, value in answer.headers:
        response.headers[name.decode()] = value.decode()
    return response


def json_response(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


async def read_json(request: Request, max_bytes: int) -> dict[str, Any]:
    """A small JSON object as body; none at all is an empty object. Raises BadInput or TooLarge."""
    try:
        body = await read_body(request.receive, dict(request.scope["headers"]), max_bytes)
    except UnreadBody:
        await linger(request.receive)
        raise
    try:
        return msgspec.json.decode(body, type=dict[str, Any]) if body.strip() else {}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"the body must be a JSON object: {error}") from error
