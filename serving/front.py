"""The prediction port's ASGI application: routes that carry tensors or pictures by hand, everything else to FastAPI.

A framework's routing, validation and middleware cost more than a small model; here a request is one path on one screen.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import count
from time import monotonic
from typing import TypeVar

from fastapi import APIRouter, FastAPI

from serving.access.access import Access
from serving.access.open_paths import HEALTH, is_open
from serving.answer import CLIENT_LEFT, Answer, error_answer, json_answer, method_not_allowed, send_answer
from serving.api import new_api
from serving.challenger.canary import Canary
from serving.config import ServerConfig
from serving.deadline import Arrival
from serving.disconnects import DisconnectWatch
from serving.docs_page import add_docs
from serving.event_stream import EventStream, Sent, end_events, send_events, signed
from serving.hot_routes import HotRoutes, Inquiry, Route, find_route, wording_of
from serving.http_body import ClientDisconnected, Headers, Message, Receive, Scope, Send, read_body
from serving.logs import CURRENT_REQUEST
from serving.metrics import Metrics
from serving.model_host import ModelHost
from serving.oip import rest
from serving.oip.shared_memory import SharedMemoryRegions
from serving.openai_routes import build_router as build_openai_router
from serving.predict_routes import build_router as build_predict_router
from serving.served import Served
from serving.tracing.tracing import NO_TRACING, Tracing
from tasks.errors import BadInput, NotReady, TidegateError

log = logging.getLogger(__name__)
REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
PROTOCOL = "http"
Work = TypeVar("Work")


class Front:
    """The ASGI callable."""

    def __init__(
        self,
        host: ModelHost,
        config: ServerConfig,
        metrics: Metrics,
        regions: SharedMemoryRegions,
        access: Access,
        tracing: Tracing,
        slow: FastAPI,
    ) -> None:
        self._host, self._config, self._metrics, self._access, self._slow = host, config, metrics, access, slow
        self._tracing = tracing
        self._hot = HotRoutes(config, regions)
        self._disconnects = DisconnectWatch()
        self._id_prefix, self._numbers = os.urandom(4).hex().encode(), count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = find_route(scope["path"])
        if not is_open(scope["path"]):
            try:
                self._access.admit(dict(scope["headers"]))
            except TidegateError as error:
                await self._turn_away(error, scope, receive, send)
                return
        if route is not None:
            await self._serve(route, scope, receive, send)
        elif scope["path"] in HEALTH:
            await self._serve_health(scope, receive, send)
        else:
            await self._serve_slow(scope, receive, send)

    async def _serve(self, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        """One request on a hot route, whatever becomes of it."""
        arrival = Arrival(monotonic(), self._config.request_timeout_s)
        headers: Headers = dict(scope["headers"])
        request_id = self._request_id(headers)
        CURRENT_REQUEST.set(request_id.decode())
        trace = self._tracing.begin(f"{route.api} {route.call}", headers, arrival.at)
        model: Served | None = None
        canary: Canary | None = None
        answer: Answer | EventStream | Sent
        try:
            if scope["method"] == "POST":
                check_repeated(scope["headers"], headers)
                if route.name:
                    model = self._host.get(route.name, route.version)
                body = await read_body(receive, headers, self._hot.max_bytes(route))
                name, version = route.addressee(body)
                model = self._host.get(name, version)  # again: a swap may have come while the body did
                canary = self._host.challengers.canary(model, version, request_id)
                inquiry = Inquiry(route, headers, scope["query_string"], body, arrival)
                ask = partial(self._hot.answer, inquiry=inquiry)
                answer = await self._while_connected(receive, ask(model) if canary is None else canary.ask(ask))
                if isinstance(answer, EventStream):
                    stream = signed(answer, model if canary is None else canary.model)
                    sending = send_events(send, stream, route.wording, request_id, self._config.receive_timeout_s)
                    answer = await self._while_connected(receive, sending)
            else:
                answer = method_not_allowed(scope["method"], scope["path"], b"POST")
        except TidegateError as error:
            answer = route.wording.error_answer(error)
        except ClientDisconnected:
            answer = CLIENT_LEFT
        except Exception:
            log.exception("request to %s failed", scope["path"])
            answer = route.wording.internal_error(request_id)
        model = model if canary is None else canary.model
        # Counted before its end is sent: whoever has his answer finds it counted.
        answered_at, trace_id = monotonic(), "" if trace is None else trace.trace_id
        if model is None:
            self._metrics.request_without_model(PROTOCOL, str(answer.status))
        else:
            model.statistics.request(PROTOCOL, str(answer.status), answered_at - arrival.at, trace_id)
        if trace is not None:
            self._tracing.end(trace.about(model, request_id.decode(), answer.status), answered_at)
        if isinstance(answer, Sent):
            await end_events(send)
        elif answer is not CLIENT_LEFT:
            await send_answer(receive, send, answer if model is None else signed(answer, model), request_id)

    async def _while_connected(self, receive: Receive, work: Awaitable[Work]) -> Work:
        """The result of `work`, or an end to it and ClientDisconnected when the client leaves."""
        task = asyncio.current_task()
        assert task is not None
        self._disconnects.enter(task, receive)
        try:
            return await work
        except asyncio.CancelledError:
            if not self._disconnects.has_departed(task):
                raise
            task.uncancel()
            raise ClientDisconnected from None
        finally:
            self._disconnects.leave(task)

    async def _turn_away(self, error: TidegateError, scope: Scope, receive: Receive, send: Send) -> None:
        """Before anything of the request was looked at but its path and headers."""
        answer = wording_of(scope["path"]).error_answer(error)
        self._metrics.request_without_model(PROTOCOL, str(answer.status))
        await send_answer(receive, send, answer, self._request_id(dict(scope["headers"])))

    async def _serve_health(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["path"].rpartition("/")[2]
        if scope["method"] not in ("GET", "HEAD"):
            answer = method_not_allowed(scope["method"], scope["path"], b"GET, HEAD")
        elif kind == "live" or self._host.ready():
            answer = json_answer({kind: True})
        else:
            answer = error_answer(NotReady("the server is not ready: POST /v2/repository/index says why"))
        await send_answer(receive, send, answer, self._request_id(dict(scope["headers"])))

    async def _serve_slow(self, scope: Scope, receive: Receive, send: Send) -> None:
        """FastAPI answers, its own faults included; this adds the request id and keeps count."""
        request_id, status = self._request_id(dict(scope["headers"])), 500
        CURRENT_REQUEST.set(request_id.decode())

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
            await send(message)

        try:
            await self._slow(scope, receive, send_with_id)
        except ClientDisconnected:
            status = CLIENT_LEFT.status
        except Exception:
            log.exception("request to %s failed", scope["path"])
        self._metrics.request_without_model(PROTOCOL, str(status))

    def _request_id(self, headers: Headers) -> bytes:
        """The caller's, if it is fit for a header and a log; else one of ours."""
        given = headers.get(b"x-request-id")
        if given is not None and REQUEST_ID.fullmatch(given):
            return given
        return b"%s-%d" % (self._id_prefix, next(self._numbers))


def check_repeated(pairs: Sequence[tuple[bytes, bytes]], headers: Headers) -> None:
    """A header that says how long something is must not say it twice. Raises BadInput."""
    if len(pairs) == len(headers):
        return
    names = [name for name, _ in pairs]
    for name in (b"content-length", b"content-encoding", rest.JSON_LENGTH):
        if names.count(name) > 1:
            raise BadInput(f"header {name.decode()} is there {names.count(name)} times")


def build_front(
    host: ModelHost,
    config: ServerConfig,
    metrics: Metrics,
    regions: SharedMemoryRegions,
    access: Access,
    *more: APIRouter,
    tracing: Tracing = NO_TRACING,
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The application of the prediction port. `more`: what is answered beside predictions."""
    slow = new_api("Tidegate")
    slow.include_router(rest.build_router(host, config))
    slow.include_router(build_predict_router(host))
    slow.include_router(build_openai_router(host))
    for router in more:
        slow.include_router(router)
    add_docs(slow, host)
    return Front(host, config, metrics, regions, access, tracing, slow)
