"""Hostile strangers, over a real connection, against a server that asks for keys."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from tritonclient.grpc import service_pb2

from deploy.prometheus.fault_rules import FAULTS
from registry.package import ModelPackage
from serving.access import keyless_calls
from serving.access.counts import Reason
from serving.access.keyless_calls import MAX_ANSWERED, MAX_ASKING, MAX_MESSAGE_BYTES, MAX_WATCHING
from serving.app import grpc_server
from serving.oip.grpc import add_services
from tests.serving.access.keys import issue
from tests.serving.access.raw_http2 import RawHttp2
from tests.serving.protocol_server import ProtocolServer, protocol_server

INFERENCE, HEALTH = "/inference.GRPCInferenceService", "/grpc.health.v1.Health"
OPEN = [f"{INFERENCE}/ServerLive", f"{INFERENCE}/ServerReady", f"{HEALTH}/Check", f"{HEALTH}/Watch"]
MAX_CONNECTIONS = 2


@dataclass(frozen=True)
class Guarded:
    """A server with room for two calls of those who bring `key`."""

    server: ProtocolServer
    address: str
    channel: grpc.aio.Channel
    key: str

    @property
    def refused(self) -> dict[Reason, int]:
        return self.server.metrics.access.refused

    async def code_of(self, method: str, key: str = "") -> str:
        """How a call of one empty message ends."""
        call = self.channel.unary_unary(method)(b"", metadata=(("x-api-key", key),) if key else (), timeout=20)
        return str((await call.code()).name)

    async def is_served(self) -> bool:
        """Whether one with a key gets what needs a key."""
        return await self.code_of(f"{INFERENCE}/ServerMetadata", self.key) == "OK"

    async def until_refused(self, reason: Reason, times: int) -> None:
        async with asyncio.timeout(20):
            while self.refused[reason] < times:  # noqa: ASYNC110 (nobody announces it)
                await asyncio.sleep(0.01)

    async def until_served_without_key(self) -> None:
        async with asyncio.timeout(20):
            while await self.code_of(OPEN[0]) != "OK":  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@pytest.fixture
async def guarded(package: ModelPackage, tmp_path: Path) -> AsyncIterator[Guarded]:
    file = tmp_path / "keys.toml"
    key = issue(file, "shop")
    settings = {"api_keys": str(file), "max_connections": MAX_CONNECTIONS}
    async with protocol_server(package.folder, tmp_path, **settings) as server:
        services = grpc_server(server.config)
        add_services(services, server.host, server.config, server.metrics, server.regions, server.access)
        address = f"127.0.0.1:{services.add_insecure_port('127.0.0.1:0')}"
        await services.start()
        async with grpc.aio.insecure_channel(address) as channel:
            yield Guarded(server, address, channel, key)
        await services.stop(None)


@pytest.mark.parametrize("method", OPEN)
async def test_calls_that_are_only_begun_keep_out_strangers_alone(guarded: Guarded, method: str) -> None:
    with RawHttp2(guarded.address) as hostile:
        hostile.begin(method, num_calls=200)
        await guarded.until_refused(Reason.CROWD, 200 - MAX_ASKING)
        assert await guarded.is_served()
        assert await guarded.code_of(OPEN[0]) == "RESOURCE_EXHAUSTED"
        assert await guarded.code_of(OPEN[0], "a guess") == "RESOURCE_EXHAUSTED"
        assert await guarded.code_of(OPEN[0], guarded.key) == "OK"
    await guarded.until_served_without_key()


async def test_a_message_that_does_not_come_ends_the_call(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keyless_calls, "FIRST_MESSAGE_S", 0.05)
    for method in OPEN:
        call = guarded.channel.stream_stream(method)()
        assert (await call.code()).name == "INVALID_ARGUMENT"
        assert "bring a key, or send it" in await call.details()
    told = [record.getMessage() for record in caplog.records if "without a key was refused" in record.getMessage()]
    assert len(told) == 1  # for all of them
    scraped = guarded.server.scrape()
    assert 'tidegate_access_refused_total{reason="silent"} 4.0' in scraped
    failed = re.findall(rf'tidegate_requests_total{{code="(?:{FAULTS})".*}} [^0].*', scraped)
    assert failed == [], "strangers wake those on call"
    monkeypatch.undo()
    assert await guarded.code_of(OPEN[0]) == "OK"


async def test_answers_that_nobody_takes_keep_out_strangers_alone(
    guarded: Guarded, caplog: pytest.LogCaptureFixture
) -> None:
    with RawHttp2(guarded.address, window=0) as hostile:
        for _ in range(MAX_ANSWERED):  # one after the other: no more of them at once than may ask
            hostile.begin(f"{INFERENCE}/ServerLive", b"")
            await asyncio.sleep(0.01)
        hostile.begin(f"{INFERENCE}/ServerLive", b"", num_calls=200)
        await guarded.until_refused(Reason.CROWD, 200 - MAX_ASKING - MAX_ANSWERED)
        assert await guarded.is_served()
        assert await guarded.code_of(OPEN[0]) == "RESOURCE_EXHAUSTED"
        assert await guarded.code_of(OPEN[0], guarded.key) == "OK"
    await guarded.until_served_without_key()
    assert not [record for record in caplog.records if record.exc_info], "whoever leaves fills no log"


async def test_watches_keep_out_watches_without_key_alone(guarded: Guarded) -> None:
    def watch(*metadata: tuple[str, str]) -> Any:
        return guarded.channel.unary_stream(f"{HEALTH}/Watch")(b"", metadata=metadata)

    with RawHttp2(guarded.address) as hostile:
        for number in range(MAX_WATCHING):
            hostile.begin(f"{HEALTH}/Watch", b"")
            if number % MAX_ASKING == 0:
                await guarded.until_served_without_key()  # no more of them at once than may ask
        one_too_many = None
        while one_too_many is None:  # the last of the hostile ones may not have been heard yet
            try:
                await watch().read()
            except grpc.aio.AioRpcError as error:
                one_too_many = error
        assert one_too_many.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "256 watches without a key" in str(one_too_many.details())
        assert await guarded.is_served()
        await guarded.until_served_without_key()
        known = watch(("x-api-key", guarded.key))
        told = health_pb2.HealthCheckResponse.FromString(await known.read())
        assert told.status == health_pb2.HealthCheckResponse.SERVING
        known.cancel()


async def test_strangers_get_the_answers_that_need_no_key(guarded: Guarded) -> None:
    for _ in range(3 * MAX_ASKING):  # one after the other
        answer = await guarded.channel.unary_unary(f"{INFERENCE}/ServerReady")(b"", timeout=20)
        assert service_pb2.ServerReadyResponse.FromString(answer).ready
    unknown = health_pb2.HealthCheckRequest(service="nobody").SerializeToString()
    call = guarded.channel.unary_unary(f"{HEALTH}/Check")(unknown)
    assert (await call.code()).name == "NOT_FOUND"


@pytest.mark.parametrize("method", OPEN)
async def test_a_call_that_ends_without_its_message_is_told_so(guarded: Guarded, method: str) -> None:
    call = guarded.channel.stream_stream(method)()
    await call.done_writing()
    assert (await call.code()).name == "INVALID_ARGUMENT"
    assert "without its message" in await call.details()


@pytest.mark.parametrize("method", OPEN)
async def test_a_message_that_is_too_long_is_refused_to_strangers_and_not_kept(guarded: Guarded, method: str) -> None:
    request = health_pb2.HealthCheckRequest(service="x" * (MAX_MESSAGE_BYTES - 2)).SerializeToString()
    assert len(request) == MAX_MESSAGE_BYTES + 1
    call = guarded.channel.unary_stream(method)(request, timeout=20)
    assert (await call.code()).name == "INVALID_ARGUMENT"
    assert f"has {MAX_MESSAGE_BYTES + 1} bytes, more than {MAX_MESSAGE_BYTES}" in await call.details()
    assert 'tidegate_access_refused_total{reason="long"} 1.0' in guarded.server.scrape()
    known = guarded.channel.unary_stream(method)(request, metadata=(("x-api-key", guarded.key),), timeout=20)
    with contextlib.suppress(grpc.aio.AioRpcError):
        await known.read()
    known.cancel()
    assert await known.code() != grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("method", OPEN)
async def test_what_is_no_message_is_refused_and_leaves_no_traceback(
    guarded: Guarded, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    for metadata in ((), (("x-api-key", guarded.key),)):
        call = guarded.channel.unary_unary(method)(b"\xff" * 10, metadata=metadata, timeout=20)
        assert (await call.code()).name == "INVALID_ARGUMENT"
    assert not [record for record in caplog.records if record.exc_info]
