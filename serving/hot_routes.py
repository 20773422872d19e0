"""The routes that the front answers by hand, and which code answers each: by API, call, and kind of model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from serving.answer import PLAIN_WORDING, Answer, Wording
from serving.config import ServerConfig
from serving.deadline import Arrival
from serving.event_stream import EventStream
from serving.generate_routes import answer_caption, answer_generate
from serving.generative_model import GenerativeModel
from serving.model_kinds import default_timeout_s
from serving.oip import rest
from serving.oip.generate import GENERATE, GENERATE_STREAM, answer_oip_generate
from serving.oip.shared_memory import SharedMemoryRegions
from serving.openai.error_body import OPENAI_WORDING
from serving.openai.request import model_of
from serving.openai_routes import CHAT, COMPLETIONS, answer_openai
from serving.predict_routes import answer_predict, parse_query, read_pictures
from serving.served import Served
from serving.served_model import ServedModel
from tasks.errors import NotFound

OPENAI = "openai"
OPENAI_MODELS = re.compile(r"/v1/models(/[^/]+)?")
"""The list of models, which the front does not answer by hand, and one of them."""
OIP_CALLS = frozenset({"infer", GENERATE, GENERATE_STREAM})
SLOW_CALLS = frozenset({"drift", "feedback"})
"""Of the task API: FastAPI answers them."""
JSON_CALLS = frozenset({GENERATE, GENERATE_STREAM, COMPLETIONS, CHAT})
"""Calls whose body is nothing but JSON."""


class Route(NamedTuple):
    """A hot route. `call`: of the Open Inference Protocol (/v2), a task's verb (/v1), or a path of the OpenAI API,
    whose requests name their model in the body."""

    api: str
    name: str
    version: str | None
    call: str

    @property
    def wording(self) -> Wording:
        """How its errors are told."""
        return OPENAI_WORDING if self.api == OPENAI else PLAIN_WORDING

    def addressee(self, body: bytes) -> tuple[str, str | None]:
        """Name and version of the model that is asked. Raises BadInput or NotFound."""
        return model_of(body) if self.api == OPENAI else (self.name, self.version)


OPENAI_ROUTES: Mapping[str, Route] = {path: Route(OPENAI, "", None, path) for path in (COMPLETIONS, CHAT)}


def find_route(path: str) -> Route | None:
    """/{v1|v2}/models/{name}[/versions/{version}]/{call}, or a path of the OpenAI API, if it is hot."""
    parts = path.split("/")
    if len(parts) == 5:
        _, api, models, name, call = parts
        version = None
    elif len(parts) == 7 and parts[4] == "versions":
        _, api, models, name, _, version, call = parts
    else:
        return OPENAI_ROUTES.get(path)
    is_hot = (api == "v2" and call in OIP_CALLS) or (api == "v1" and call not in SLOW_CALLS)
    return Route(api, name, version, call) if is_hot and models == "models" else None


def wording_of(path: str) -> Wording:
    """How errors are told on a path, hot or not."""
    if (route := find_route(path)) is not None:
        return route.wording
    return OPENAI_WORDING if OPENAI_MODELS.fullmatch(path) else PLAIN_WORDING


class Inquiry(NamedTuple):
    """What came in on a hot route, its body inflated."""

    route: Route
    headers: Mapping[bytes, bytes]
    query: bytes
    body: bytes
    arrival: Arrival


@dataclass(frozen=True)
class HotRoutes:
    """What answering takes beside the request and the model."""

    config: ServerConfig
    regions: SharedMemoryRegions

    def max_bytes(self, route: Route) -> int:
        """Of a body."""
        limit = self.config.max_body_bytes
        return min(limit, self.config.max_json_bytes) if route.call in JSON_CALLS else limit

    async def answer(self, model: Served, inquiry: Inquiry) -> Answer | EventStream:
        """What the model answers. Raises TidegateError."""
        arrival = inquiry.arrival.within(default_timeout_s(model, self.config))
        inquiry = inquiry._replace(arrival=arrival)
        route, headers, _, body, _ = inquiry
        if route.api == OPENAI:
            return await answer_openai(route.call, model, body, arrival.deadline())
        if route.api == "v1":
            return await answer_verb(model, inquiry)
        if route.call == "infer":
            return await rest.answer_infer(model, headers, body, self.regions, arrival, self.config.max_json_bytes)
        return await answer_oip_generate(model, route.call, body, arrival)


async def answer_verb(model: Served, inquiry: Inquiry) -> Answer | EventStream:
    """The model's own endpoint. Raises NotFound for the verb of another kind of model."""
    route, headers, query, body, arrival = inquiry
    verb = model.task.verb if isinstance(model, ServedModel | GenerativeModel) else GENERATE
    if route.call != verb:
        raise NotFound(f"model {model.name!r} has no {route.call!r}; POST /v1/models/{model.name}/{verb}")
    if isinstance(model, ServedModel):
        return await answer_predict(model, headers, query, body, arrival)
    if verb == GENERATE:
        return await answer_generate(model, body, arrival.deadline())
    return await answer_caption(model, read_pictures(headers, body), parse_query(query), arrival.deadline())
