"""What the page asks for: models with evidence, live counters, drift, examples to try, promotions, rollback."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from registry.reference import ModelRef
from registry.store import PackageStore
from serving.access.access import Access
from serving.access.caller import Caller, Role
from serving.api import json_response, read_json
from serving.config import ServerConfig
from serving.console.drift_view import summarise, view_drift
from serving.console.live_counters import INSTANCE, read_counters
from serving.console.model_facts import describe_models, find_served, key_of
from serving.console.pages import HEADERS, pages_router
from serving.console.promotions import read_promotions, roll_back
from serving.model_host import ModelHost
from serving.oip import rest
from serving.oip.metadata import server_version
from tasks.errors import NotFound

API = "/console/api"
log = logging.getLogger(__name__)


def build_console(host: ModelHost, store: PackageStore, config: ServerConfig, access: Access) -> APIRouter:
    """The page, its files and its API. Whoever may predict may look; only an administrator rolls back."""
    router = APIRouter(include_in_schema=False)
    router.include_router(model_router(host, config, access))
    router.include_router(promotion_router(store, access))
    router.include_router(pages_router())
    return router


def model_router(host: ModelHost, config: ServerConfig, access: Access) -> APIRouter:
    """What this process knows without asking the store."""
    router = APIRouter(prefix=API)

    @router.get("/session")
    async def get_session(request: Request) -> Response:
        caller = caller_of(access, request)
        return json_response({"name": caller.name, "is_admin": caller.role is Role.ADMIN})

    @router.get("/models")
    async def get_models(request: Request) -> Response:
        return changed_response(
            request,
            {
                "server": {
                    "version": server_version(),
                    "instance": INSTANCE,
                    "poll_interval_s": config.poll_interval_s,
                },
                "models": describe_models(host),
            },
        )

    @router.get("/live")
    async def get_live() -> Response:
        return json_response(read_counters(host))

    @router.get("/drift")
    async def get_drift() -> Response:
        served = {key_of(host, one): one for state in host.index() if (one := find_served(host, state)) is not None}
        monitors = {key: model.monitor for key, model in served.items()}
        return json_response(
            await run_in_threadpool(lambda: {key: summarise(one.report()) for key, one in monitors.items()})
        )

    @router.get("/models/{name}/drift")
    async def get_model_drift(name: str, version: str | None = None) -> Response:
        return json_response(await run_in_threadpool(view_drift, host.get(name, version).monitor))

    @router.get("/models/{name}/examples/{index}")
    async def get_example(name: str, index: int, version: str | None = None) -> Response:
        """A golden input of the package: a picture or a prompt that the model is known to answer."""
        package = host.get(name, version).package
        files = package.manifest.golden_inputs if package else ()
        if package is None or not 0 <= index < len(files):
            raise NotFound(f"model {name!r} has no example {index}; it has {len(files)}")
        content = await run_in_threadpool((package.folder / files[index]).read_bytes)
        return Response(content, media_type="application/octet-stream", headers=dict(HEADERS))

    return router


def promotion_router(store: PackageStore, access: Access) -> APIRouter:
    """What the store knows, which takes its time."""
    router = APIRouter(prefix=API)

    @router.get("/models/{name}/promotions")
    async def get_promotions(name: str) -> Response:
        return json_response(await run_in_threadpool(read_promotions, store, checked_name(name)))

    @router.post("/models/{name}/rollback")
    async def post_rollback(name: str, request: Request) -> Response:
        caller = caller_of(access, request)
        caller.require_admin()
        body = await read_json(request, rest.MAX_CONTROL_BYTES)
        who = f"{caller.name} (console)"
        event = await run_in_threadpool(roll_back, store, checked_name(name), body, who)
        log.info("%s rolled %s back to version %s", who, name, event.version or "nobody")
        return json_response(event)

    return router


def caller_of(access: Access, request: Request) -> Caller:
    """Raises Unauthenticated."""
    return access.identify(dict(request.scope["headers"]))


def checked_name(name: str) -> str:
    """Names become paths in some stores. Raises BadInput."""
    return ModelRef.parse(name).name


def changed_response(request: Request, value: Any) -> Response:
    """JSON, or 304 for a browser that has it already."""
    body = msgspec.json.encode(value)
    etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    headers = {"etag": etag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
