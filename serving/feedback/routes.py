"""POST /v1/models/{name}/feedback: what would have been right, for one answer or for many."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from fastapi import APIRouter, Request, Response

from serving.aftermath import Aftermath
from serving.answer import linger
from serving.api import json_response
from serving.config import ServerConfig
from serving.feedback.desk import Claim
from serving.feedback.given import Feedback, Index, RequestId, Version, read_feedback, read_feedbacks
from serving.feedback.verdict import Verdict
from serving.http_body import UnreadBody, read_body
from serving.multipart import is_multipart, parse_form
from serving.status import http_status, wire_message
from tasks.errors import BadInput, Overloaded, TidegateError

MAX_WAITING = 64
"""Calls whose labels are being judged or wait for that: each holds its body, and nothing else bounds them."""
Judged = Verdict | TidegateError


class Result(NamedTuple):
    """What became of one feedback. `feedback`: None where it could not be read; `claim`: where nothing was judged."""

    feedback: Feedback | None
    claim: Claim | None
    judged: Judged | None

    def told(self) -> dict[str, Any]:
        """What the sender of feedback that was counted is told. Raises TidegateError for any other."""
        if isinstance(self.judged, TidegateError):
            raise self.judged
        assert self.claim is not None
        assert self.judged is not None
        claim, feedback = self.claim, self.claim.feedback
        about = {"model_name": claim.model, "model_version": claim.version}
        return about | {"request_id": feedback.request_id, "index": feedback.item} | dict(self.judged.told)

    def listed(self) -> dict[str, Any]:
        """The same as one of several, with the status that it would have had by itself."""
        try:
            return {"status": 200, **self.told()}
        except TidegateError as error:
            about = (
                {} if self.feedback is None else {"request_id": self.feedback.request_id, "index": self.feedback.item}
            )
            return {"status": http_status(error.kind), **about, "error": wire_message(error)}


class FormFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may stand beside a mask."""

    request_id: RequestId
    index: Index | None = None
    version: Version | None = None
    prediction: str = ""


class FeedbackRoutes:
    """One for all models."""

    def __init__(self, aftermath: Aftermath, config: ServerConfig) -> None:
        self._aftermath, self._desk, self._config = aftermath, aftermath.desk, config
        # Masks take a core for a while: labels must never take more than one of them from those who wait for answers.
        self._judging = asyncio.Lock()
        self._num_waiting = 0

    async def post(self, request: Request, name: str) -> Response:
        """Join labels that came later to the answers they are about, by request id, and count how right those were."""
        headers = dict(request.scope["headers"])
        content_type = headers.get(b"content-type", b"")
        max_bytes = self._config.max_body_bytes
        if not is_multipart(content_type):
            max_bytes = min(max_bytes, self._config.max_json_bytes)
        try:
            body = await read_body(request.receive, headers, max_bytes)
        except UnreadBody:
            await linger(request.receive)
            raise
        is_list = not is_multipart(content_type) and body.lstrip()[:1] == b"["
        try:
            given = [feedback_of_form(content_type, body)] if is_multipart(content_type) else read_feedbacks(body)
        except TidegateError:
            self._desk.refuse(name)
            raise
        results = await self._judge(name, given)
        if is_list:
            return json_response({"results": [result.listed() for result in results]})
        return json_response(results[0].told())

    async def _judge(self, name: str, given: Sequence[msgspec.Raw | Feedback]) -> list[Result]:
        """Each by itself: one that is refused leaves the others. Raises Overloaded."""
        if self._num_waiting >= MAX_WAITING:
            raise Overloaded(f"{MAX_WAITING} calls with feedback wait to be judged; send it again later")
        results = [self._claim(name, one) for one in given]
        claims = [result.claim for result in results if result.claim is not None]
        num_judged = 0
        self._num_waiting += 1
        try:
            async with self._judging:
                verdicts = await asyncio.to_thread(judge_all, claims)
            for claim, verdict in zip(claims, verdicts, strict=True):
                num_judged += 1
                if isinstance(verdict, Verdict):
                    self._aftermath.settle(claim, verdict)
                else:
                    self._desk.release(claim)
        finally:
            self._num_waiting -= 1
            for claim in claims[num_judged:]:
                self._desk.release(claim)
        judged = iter(verdicts)
        return [result if result.claim is None else result._replace(judged=next(judged)) for result in results]

    def _claim(self, name: str, given: msgspec.Raw | Feedback) -> Result:
        """Not judged yet, or refused."""
        try:
            feedback = given if isinstance(given, Feedback) else read_feedback(bytes(given))
        except TidegateError as error:
            self._desk.refuse(name)
            return Result(None, None, error)
        try:
            return Result(feedback, self._desk.claim(name, feedback), None)
        except TidegateError as error:
            return Result(feedback, None, error)


def judge_all(claims: Sequence[Claim]) -> list[Judged]:
    """On a thread."""
    judged: list[Judged] = []
    for claim in claims:
        try:
            judged.append(claim.verdict())
        except TidegateError as error:
            judged.append(error)
    return judged


def feedback_of_form(content_type: bytes, body: bytes) -> Feedback:
    """A mask as the file of a form. Raises BadInput."""
    form = parse_form(content_type, body)
    if len(form.files) != 1:
        raise BadInput(f"the form holds {len(form.files)} files; send one, the mask, with request_id beside it")
    try:
        fields = msgspec.convert(form.fields, FormFields, strict=False)
    except msgspec.ValidationError as error:
        raise BadInput(f"the form beside the mask: {error}; it takes request_id, index, version, prediction") from error
    prediction = msgspec.Raw(fields.prediction.encode())
    return Feedback(
        request_id=fields.request_id,
        index=fields.index,
        version=fields.version,
        prediction=prediction,
        mask=form.files[0],
    )


def build_feedback(aftermath: Aftermath, config: ServerConfig) -> APIRouter:
    """The one route."""
    router = APIRouter(tags=["Monitoring"])
    routes = FeedbackRoutes(aftermath, config)
    router.add_api_route("/v1/models/{name}/feedback", routes.post, methods=["POST"])
    return router
