"""A model that another server runs: routed to, counted and watched here like any other."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from monitoring.monitor import Monitor
from serving.aftermath import Witness
from serving.answer import Answer, json_answer
from serving.deadline import Deadline, within
from serving.drift_feed import DriftCounts, DriftFeed, Observed, Watched
from serving.event_stream import EventStream
from serving.feedback.judge_text import remembered
from serving.generation.statistics import GenerationStatistics
from serving.json_fields import read_fields
from serving.lease import Leased
from serving.logs import CURRENT_REQUEST
from serving.openai.request import read_request
from serving.statistics import ModelStatistics
from serving.upstream.answering import UpstreamAnswering
from serving.upstream.client import UpstreamClient
from serving.upstream.completion_body import completion_body
from serving.upstream.declaration import Upstream
from serving.upstream.forwarding import Forwarding
from serving.upstream.pump import Pump
from serving.upstream.seen import read_models
from serving.upstream.visit import Visit
from tasks.errors import Overloaded, TidegateError
from tasks.generation import Generated
from tasks.generation_params import GenerationParams
from tasks.parse_generation import parse_generation
from tasks.task import Observation
from tasks.text_generation import Choice, TextGenerationPrediction

VERSION = "upstream"
ANY_TOKEN = 2**62
"""How many tokens there are, the other server knows."""
PROBE_TIMEOUT_S = 5.0


class Wanted(msgspec.Struct, frozen=True):
    """What is read of a request that passes through."""

    stream: bool | None = None
    stream_options: dict[str, msgspec.Raw] | None = None

    @property
    def wants_usage(self) -> bool:
        """Whether the stream shall end with what it took."""
        return bytes((self.stream_options or {}).get("include_usage", b"false")) == b"true"


class UpstreamModel(Leased):
    """Lives on one event loop. What a caller gets wrong, and how to answer it, is the other server's affair."""

    def __init__(
        self,
        name: str,
        declared: Upstream,
        statistics: ModelStatistics,
        generation: GenerationStatistics,
        monitor: Monitor,
        drift_feed: DriftFeed,
    ) -> None:
        super().__init__()
        self.name, self.version, self.variant = name, VERSION, VERSION
        self.statistics, self.generation, self.monitor = statistics, generation, monitor
        self.drift = DriftCounts()
        self.ailment = "it was not asked yet"
        """Why it can not answer, as it seemed at the last look; empty when it can."""
        self.witness: Witness | None = None
        """Sees what was answered, if somebody wants that."""
        self._declared, self._drift_feed = declared, drift_feed
        self._there = declared.model or name
        self._client = UpstreamClient(declared.url)

    async def forward(self, path: str, body: bytes, deadline: Deadline) -> Answer | EventStream:
        """A request of the OpenAI API as it is, but for the name of the model; its answer likewise.

        Raises BadInput, Overloaded, DeadlineExceeded or NotReady, before anything was answered."""
        request: dict[str, Any] = {**read_fields(body, '{"model": "name", …}'), "model": self._there}
        path = path.removeprefix("/v1/")
        wanted = read_request(body, Wanted)
        if not wanted.stream:
            return await self._forward_whole(path, request, deadline)
        request["stream_options"] = {**(wanted.stream_options or {}), "include_usage": True}
        visit, pump = self._send(path, request, deadline)
        forwarding = Forwarding(self.name, pump, visit, wanted.wants_usage)
        await forwarding.begin()
        return EventStream(forwarding.events(), forwarding.cancel)

    async def _forward_whole(self, path: str, request: Mapping[str, Any], deadline: Deadline) -> Answer:
        key, visit = self._key(), self._visit()
        try:
            async with within(deadline):
                answer = await self._client.post(path, key, request)
            visit.note(answer)
        except BaseException as error:
            visit.fail(error)
            raise
        visit.succeed()
        return json_answer(answer | {"model": self.name})

    def start(self, text: str, params: GenerationParams, deadline: Deadline, index: int = 0) -> UpstreamAnswering:
        """A text, the request's `index`th, goes on there. Raises BadInput, Overloaded or NotReady at once; the rest
        comes with the answer."""
        visit, pump = self._send("completions", completion_body(self._there, text, params), deadline, index)
        return UpstreamAnswering(pump, visit)

    def parse_params(self, values: Mapping[str, object]) -> GenerationParams:
        return parse_generation(values, {}, ANY_TOKEN)

    def finish(self, answers: Sequence[Generated]) -> TextGenerationPrediction:
        choices = [
            Choice(
                text=answer.text,
                finish_reason=answer.finish_reason,
                num_tokens=len(answer.tokens),
                score=answer.score,
                stop_text=answer.stop_text,
            )
            for answer in answers
        ]
        return TextGenerationPrediction(choices=tuple(choices))

    async def probe(self) -> None:
        """Look whether the other server answers, and has the model; `ailment` says what was found."""
        try:
            async with within(Deadline.after(PROBE_TIMEOUT_S)):
                names = read_models(await self._client.get("models", self._key()))
            known = not names or self._there in names
            self.ailment = "" if known else "the upstream server has no model of this name"
        except TidegateError as error:
            self.ailment = str(error)

    @property
    def package(self) -> None:
        """What it consists of, the other server knows."""
        return None

    @property
    def num_waiting(self) -> int:
        """Who waits for what, the other server knows."""
        return 0

    def stalled_s(self) -> float:
        """Nothing is computed here."""
        return 0.0

    async def retire(self, timeout_s: float) -> None:
        """Wait for those who are being answered, but not longer than `timeout_s`, then hang up."""
        await self.until_returned(timeout_s)
        await self._client.close()

    def _send(
        self, path: str, body: Mapping[str, Any], deadline: Deadline, index: int | None = None
    ) -> tuple[Visit, Pump]:
        """`index`: of a text that is one of a request's; None where the body is the whole request."""
        key, visit = self._key(), self._visit(index)
        return visit, Pump(self._client, path, key, body, deadline)

    def _key(self) -> str:
        """Read anew for each request: keys are changed while servers run."""
        return self._declared.api_key(os.environ)

    def _visit(self, index: int | None = None) -> Visit:
        """Raises Overloaded."""
        limit = self._declared.max_in_flight
        if self.num_in_flight >= limit:
            self.generation.num_refused += 1
            raise Overloaded(f"{limit} requests for model {self.name!r} are being answered; try again later")
        self.num_in_flight += 1
        return Visit(self.generation, self._watch, self._note_end, partial(self._hear, CURRENT_REQUEST.get(), index))

    def _note_end(self) -> None:
        self.num_in_flight -= 1

    def _hear(self, request_id: str, index: int | None, answers: Sequence[Generated]) -> None:
        """Of one text the best answer is judged, of a request that passed through each choice."""
        if self.witness is not None and answers:
            judged = answers if index is None else [max(answers, key=lambda answer: answer.score)]
            self.witness.heard(request_id, index or 0, [remembered(answer.text) for answer in judged])

    def _watch(self, signals: Mapping[str, Observation]) -> None:
        self._drift_feed.offer([Observed(Watched(self.monitor, self.drift), lambda: signals)])
