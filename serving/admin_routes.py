"""The administration port: load, unload, shared memory, drift reset. Only administrators get in."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request, Response

from serving.access.access import Access
from serving.answer import error_answer, send_answer
from serving.api import json_response, new_api, read_json
from serving.config import ServerConfig
from serving.http_body import Receive, Scope, Send
from serving.model_host import ModelHost
from serving.oip import rest
from serving.oip.metadata import ADMIN_EXTENSIONS, SHARED_MEMORY_EXTENSION, repository_index, server_metadata
from serving.oip.shared_memory import Region, SharedMemoryRegions
from tasks.errors import BadInput, TidegateError, Unsupported

log = logging.getLogger(__name__)
REQUEST_ID = b"admin"
NumBytes = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class RegionMessage(msgspec.Struct, frozen=True):
    """What a client registers: a POSIX shared memory object and the stretch of it that it wants to use."""

    key: str
    byte_size: NumBytes
    offset: NumBytes = 0


class AdminGate:
    """Lets administrators through and nobody else: by their key, or by the token of the configuration."""

    def __init__(self, inner: Application, access: Access) -> None:
        self._inner, self._access = inner, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._access.identify(dict(scope["headers"])).require_admin()
        except TidegateError as error:
            await send_answer(receive, send, error_answer(error), REQUEST_ID)
            return
        await self._inner(scope, receive, send)


def build_admin(host: ModelHost, config: ServerConfig, regions: SharedMemoryRegions, access: Access) -> Application:
    """The application of the administration port."""
    api = new_api("Tidegate administration")
    api.include_router(repository_router(host, config))
    api.include_router(shared_memory_router(regions))
    api.include_router(drift_router(host))
    return AdminGate(api, access)


def repository_router(host: ModelHost, config: ServerConfig) -> APIRouter:
    """Health and the repository extension."""
    router = APIRouter()
    extensions = (*ADMIN_EXTENSIONS, *((SHARED_MEMORY_EXTENSION,) if config.shared_memory else ()))

    @router.get("/v2")
    async def get_server() -> Response:
        return json_response(server_metadata(extensions))

    @router.get("/v2/health/live")
    async def get_live() -> Response:
        return json_response({"live": True})

    @router.post("/v2/repository/index")
    async def get_index(request: Request) -> Response:
        wanted = await read_json(request, rest.MAX_CONTROL_BYTES)
        return json_response(repository_index(host.index(), ready_only=wanted.get("ready") is True))

    @router.post("/v2/repository/models/{name}/load")
    async def load(name: str, request: Request) -> Response:
        if unsupported := (await read_json(request, rest.MAX_CONTROL_BYTES)).get("parameters"):
            raise Unsupported(f"load takes no parameters here, got {', '.join(unsupported)}: a package is complete")
        await host.load(name)
        log.info("model %s loaded on request", name)
        return Response()

    @router.post("/v2/repository/models/{name}/unload")
    async def unload(name: str) -> Response:
        await host.unload(name)
        log.info("model %s unloaded on request", name)
        return Response()

    return router


def shared_memory_router(regions: SharedMemoryRegions) -> APIRouter:
    """The system shared memory extension. CUDA's is refused."""
    router = APIRouter()

    @router.get("/v2/systemsharedmemory/status")
    @router.get("/v2/systemsharedmemory/region/{name}/status")
    async def get_status(name: str = "") -> Response:
        return json_response([region_status(region) for region in regions.status(name)])

    @router.post("/v2/systemsharedmemory/region/{name}/register")
    async def register(name: str, request: Request) -> Response:
        facts = await read_json(request, rest.MAX_CONTROL_BYTES)
        try:
            wanted = msgspec.convert(facts, RegionMessage)
        except msgspec.ValidationError as error:
            raise BadInput(f"a region is registered with key, offset and byte_size: {error}") from error
        regions.register(name, wanted.key, wanted.offset, wanted.byte_size)
        return Response()

    @router.post("/v2/systemsharedmemory/unregister")
    async def unregister_all() -> Response:
        regions.unregister_all()
        return Response()

    @router.post("/v2/systemsharedmemory/region/{name}/unregister")
    async def unregister(name: str) -> Response:
        regions.unregister(name)
        return Response()

    @router.api_route("/v2/cudasharedmemory/{path:path}", methods=["GET", "POST"])
    async def refuse_cuda(path: str) -> Response:
        raise Unsupported("CUDA shared memory is not offered; system shared memory is")

    return router


def region_status(region: Region) -> dict[str, Any]:
    return {"name": region.name, "key": region.key, "offset": region.offset, "byte_size": region.byte_size}


def drift_router(host: ModelHost) -> APIRouter:
    """What an operator does after a change of traffic that was meant to be."""
    router = APIRouter()

    @router.post("/v1/models/{name}/drift/reset")
    async def reset(name: str, version: str | None = None) -> Response:
        host.get(name, version).monitor.reset()
        log.info("drift window of model %s reset on request", name)
        return json_response({})

    return router
