"""Every call over gRPC, with and without a key, over a real connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import tritonclient.grpc.aio as triton
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from registry.package import ModelPackage
from serving.access.api_key import new_key
from serving.access.grpc_gate import GatedCalls
from serving.access.key_edits import revoke_key
from serving.access.keyless_calls import KeylessCalls
from serving.oip.grpc import add_services
from tests.serving.access.keys import bearer, issue
from tests.serving.protocol_server import ProtocolServer, protocol_server
from tests.serving.wire import IMAGES

SERVICE = "inference.GRPCInferenceService"
OPEN = ("ServerLive", "ServerReady")
REFUSED = "UNAUTHENTICATED"


@dataclass(frozen=True)
class Guarded:
    """A server that asks for keys. `slow`: a key for one request, and then none for a long time."""

    server: ProtocolServer
    address: str
    file: Path
    shop: str
    slow: str


@pytest.fixture
async def guarded(package: ModelPackage, tmp_path: Path) -> AsyncIterator[Guarded]:
    file = tmp_path / "keys.toml"
    shop, slow = issue(file, "shop"), issue(file, "slow", rate=0.01)
    async with protocol_server(package.folder, tmp_path, api_keys=str(file)) as server:
        services = grpc.aio.server()
        add_services(services, server.host, server.config, server.metrics, server.regions, server.access)
        port = services.add_insecure_port("127.0.0.1:0")
        await services.start()
        yield Guarded(server, f"127.0.0.1:{port}", file, shop, slow)
        await services.stop(None)


def image(number: int = 0) -> dict[str, Any]:
    tensor = triton.InferInput("image", list(IMAGES.shape), "UINT8")
    tensor.set_data_from_numpy(IMAGES)
    return {"model_name": "colours", "inputs": [tensor], "request_id": str(number)}


async def code_of(channel: grpc.aio.Channel, method: str, metadata: tuple[tuple[str, str], ...]) -> str:
    """How a call without a message ends."""
    if method == "ModelStreamInfer":
        call = channel.stream_stream(f"/{SERVICE}/{method}")(metadata=metadata)
        await call.done_writing()
    else:
        call = channel.unary_unary(f"/{SERVICE}/{method}")(b"", metadata=metadata)
    return str((await call.code()).name)


async def test_no_call_answers_without_a_key_but_those_that_are_listed(guarded: Guarded) -> None:
    callers = [((), False), ((("x-api-key", "guess"),), False), ((("x-api-key", guarded.shop),), True)]
    async with grpc.aio.insecure_channel(guarded.address) as channel:
        for method in service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name:
            for metadata, is_known in callers:
                code = await code_of(channel, method, metadata)
                assert (code == REFUSED) == (not is_known and method not in OPEN), (method, metadata)


async def test_health_needs_no_key(guarded: Guarded) -> None:
    async with grpc.aio.insecure_channel(guarded.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(service="colours"))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()


async def test_tritons_client_brings_its_key_as_a_header(guarded: Guarded) -> None:
    async with triton.InferenceServerClient(guarded.address) as client:
        for headers in (bearer(guarded.shop), {"x-api-key": guarded.shop}):
            answer = await client.infer(**image(), headers=headers)
            assert answer.get_response().model_version == "1"
        with pytest.raises(InferenceServerException, match="no API key of this server") as refused:
            await client.infer(**image(), headers=bearer(new_key().text()))
        assert refused.value.status() == "StatusCode.UNAUTHENTICATED"


async def test_a_stranger_is_refused_before_his_message_is_there(guarded: Guarded) -> None:
    async with grpc.aio.insecure_channel(guarded.address) as channel, asyncio.timeout(20):
        call = channel.stream_stream(f"/{SERVICE}/ModelInfer")(metadata=(("x-api-key", "guess"),))
        assert (await call.code()).name == REFUSED  # nothing was written, and the end not announced


async def test_who_asks_too_often_is_refused(guarded: Guarded) -> None:
    async with triton.InferenceServerClient(guarded.address) as client:
        await client.infer(**image(), headers=bearer(guarded.slow))
        with pytest.raises(InferenceServerException, match="try again in") as refused:
            await client.infer(**image(), headers=bearer(guarded.slow))
        assert refused.value.status() == "StatusCode.RESOURCE_EXHAUSTED"
    shown = guarded.server.scrape()
    assert 'tidegate_requests_total{code="RESOURCE_EXHAUSTED",model="",protocol="grpc",version=""} 1.0' in shown


async def outcomes(guarded: Guarded, key: str, numbers: range) -> list[str]:
    """What becomes of requests of one stream, sent one after another: their ids, or why they were refused."""
    found: list[str] = []

    async def requests() -> AsyncIterator[dict[str, Any]]:
        for number in numbers:
            yield image(number)

    async with triton.InferenceServerClient(guarded.address) as client:
        async for answer, error in client.stream_infer(requests(), headers=bearer(key)):
            found.append(str(error) if error else answer.get_response().id)
    return found


async def test_requests_of_a_stream_are_charged_one_by_one(guarded: Guarded) -> None:
    first, *others = await outcomes(guarded, guarded.slow, range(3))
    assert first == "0"
    assert len(others) == 2
    assert all("may ask 0.01 times a second" in told for told in others)
    assert await outcomes(guarded, guarded.shop, range(20)) == [str(number) for number in range(20)]


async def test_a_key_that_is_revoked_ends_what_its_streams_may_ask(guarded: Guarded) -> None:
    async with grpc.aio.insecure_channel(guarded.address) as channel:
        stream = channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")(metadata=(("x-api-key", guarded.shop),))
        empty = service_pb2.ModelInferRequest(model_name="nobody", id="one").SerializeToString()
        await stream.write(empty)
        told = service_pb2.ModelStreamInferResponse.FromString(await stream.read())
        assert "nobody" in told.error_message
        revoke_key(guarded.file, "shop")
        keys = guarded.server.access._keys
        assert keys is not None
        keys.reread()
        await stream.write(empty)
        told = service_pb2.ModelStreamInferResponse.FromString(await stream.read())
        assert "it was revoked" in told.error_message
        assert told.infer_response.id == "one"
        await stream.done_writing()


@dataclass(frozen=True)
class Asked:
    """A call of a stranger who has left when he is refused."""

    method: str
    invocation_metadata: tuple[tuple[str, str], ...] = ()

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise grpc.aio.InternalError("the connection is gone")


async def test_a_stranger_who_leaves_while_he_is_refused_leaves_no_traceback(guarded: Guarded) -> None:
    access, metrics = guarded.server.access, guarded.server.metrics
    inner = grpc.unary_unary_rpc_method_handler(lambda data, context: None)
    services = grpc.method_handlers_generic_handler(SERVICE, {"ServerMetadata": inner})
    stranger = Asked(f"/{SERVICE}/ServerMetadata")
    handler = GatedCalls(services, access, metrics, KeylessCalls(metrics.access)).service(stranger)
    with pytest.raises(asyncio.CancelledError):  # as grpc ends calls without a word
        await handler.stream_stream(None, stranger)
