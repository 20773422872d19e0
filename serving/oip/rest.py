"""The Open Inference Protocol over HTTP: `answer_infer` for the hot route, a router for everything else."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic

from fastapi import APIRouter, Request, Response

from serving.answer import BINARY_TYPE, JSON_TYPE, Answer, Header
from serving.api import json_response, read_json
from serving.config import ServerConfig
from serving.deadline import Arrival
from serving.http_body import MIN_COMPRESSED_BYTES, accepted_encoding, deflate, parse_length
from serving.model_host import ModelHost
from serving.oip.inference import infer, note_encoding
from serving.oip.message import RAW_PLAN, build_response, parse_raw_request, parse_request
from serving.oip.metadata import (
    EXTENSIONS,
    SHARED_MEMORY_EXTENSION,
    check_ready,
    model_config,
    model_metadata,
    ready_models,
    repository_index,
    server_metadata,
)
from serving.oip.shared_memory import SharedMemoryRegions
from serving.oip.statistics import model_statistics
from serving.served import Served
from tasks.errors import BadInput, Forbidden, TooLarge, Unsupported

JSON_LENGTH = b"inference-header-content-length"
MAX_CONTROL_BYTES = 2**16
"""Bodies of calls that carry no tensors."""


async def answer_infer(
    model: Served,
    headers: Mapping[bytes, bytes],
    body: bytes,
    regions: SharedMemoryRegions,
    arrival: Arrival,
    max_json_bytes: int,
) -> Answer:
    """POST …/infer, body already inflated. Raises TidegateError."""
    declared = headers.get(JSON_LENGTH)
    num_json_bytes = len(body) if declared is None else parse_length("Inference-Header-Content-Length", declared)
    if num_json_bytes > len(body):
        raise BadInput(f"Inference-Header-Content-Length is {num_json_bytes}, and the body has {len(body)} bytes")
    if num_json_bytes > max_json_bytes:
        raise TooLarge(
            f"the request has {num_json_bytes} bytes of JSON; at most {max_json_bytes} are accepted: "
            "send tensors in binary form (Inference-Header-Content-Length)"
        )
    if declared is not None and not num_json_bytes:
        request, plan = parse_raw_request(body, arrival), RAW_PLAN
    else:
        request, plan = parse_request(body, num_json_bytes, regions, arrival)
    response = await infer(model, request)
    encoding_since = monotonic()
    json_length, parts = build_response(response, plan, regions)
    content = b"".join(parts)
    note_encoding(model, request, encoding_since)
    kind: tuple[Header, ...] = (JSON_TYPE,)
    if json_length is not None:
        kind = (BINARY_TYPE, (JSON_LENGTH, b"%d" % json_length))
    encoding = accepted_encoding(headers)
    if encoding is None or len(content) < MIN_COMPRESSED_BYTES:
        return Answer(200, kind, content)
    return Answer(
        200, (*kind, (b"content-encoding", encoding), (b"vary", b"accept-encoding")), deflate(content, encoding)
    )


def build_router(host: ModelHost, config: ServerConfig) -> APIRouter:
    """Every call of the protocol on the prediction port but inference and server health."""
    router = APIRouter(tags=["Open Inference Protocol"])
    add_descriptions(router, host, config)
    add_model_calls(router, host)
    add_refusals(router)
    return router


def add_descriptions(router: APIRouter, host: ModelHost, config: ServerConfig) -> None:
    """Calls about the server as a whole."""
    extensions = (*EXTENSIONS, SHARED_MEMORY_EXTENSION) if config.shared_memory else EXTENSIONS

    @router.get("/v2", summary="Name, version and extensions of this server")
    async def get_server() -> Response:
        return json_response(server_metadata(extensions))

    @router.get("/v2/models", summary="Names of the models that are ready")
    async def get_models() -> Response:
        return json_response({"models": sorted({model.name for model in ready_models(host)})})

    @router.get("/v2/models/stats", summary="Statistics of all models that are ready")
    async def get_all_statistics() -> Response:
        return json_response({"model_stats": [model_statistics(model) for model in ready_models(host)]})

    @router.post("/v2/repository/index", summary="Every model this server knows of, with its state")
    async def get_index(request: Request) -> Response:
        wanted = await read_json(request, MAX_CONTROL_BYTES)
        states = [state.without_places() for state in host.index()]
        return json_response(repository_index(states, ready_only=wanted.get("ready") is True))


def add_model_calls(router: APIRouter, host: ModelHost) -> None:
    """Calls about one model, each with and without a version."""

    async def get_metadata(name: str, version: str | None = None) -> Response:
        """Inputs, outputs, variant."""
        return json_response(model_metadata(host.get(name, version)))

    async def get_ready(name: str, version: str | None = None) -> Response:
        """200 when the model answers, 503 when it does not."""
        return json_response({"name": check_ready(host, name, version).name, "ready": True})

    async def get_config(name: str, version: str | None = None) -> Response:
        """The configuration in the form that Triton's clients read."""
        return json_response(model_config(host.get(name, version)))

    async def get_statistics(name: str, version: str | None = None) -> Response:
        """Counts and durations."""
        return json_response({"model_stats": [model_statistics(host.get(name, version))]})

    calls = {"": get_metadata, "/ready": get_ready, "/config": get_config, "/stats": get_statistics}
    for path, call in calls.items():
        router.add_api_route(f"/v2/models/{{name}}{path}", call, methods=["GET"])
        router.add_api_route(f"/v2/models/{{name}}/versions/{{version}}{path}", call, methods=["GET"])


def add_refusals(router: APIRouter) -> None:
    """Calls of the protocol that exist and are not for this port, or not for this server."""
    administration = (
        "/v2/repository/models/{name}/load",
        "/v2/repository/models/{name}/unload",
        "/v2/systemsharedmemory/status",
        "/v2/systemsharedmemory/unregister",
        "/v2/systemsharedmemory/region/{name}/{call}",
    )
    unsupported = (
        "/v2/cudasharedmemory/{path:path}",
        "/v2/models/{name}/trace/setting",
        "/v2/trace/setting",
        "/v2/logging",
    )

    async def forbid() -> Response:
        raise Forbidden("this is a call of administration: use the administration port and its token")

    async def refuse(request: Request) -> Response:
        raise Unsupported(f"{request.url.path} is not offered by this server; GET /v2 lists its extensions")

    for path in administration:
        router.add_api_route(path, forbid, methods=["GET", "POST"], include_in_schema=False)
    for path in unsupported:
        router.add_api_route(path, refuse, methods=["GET", "POST"], include_in_schema=False)
