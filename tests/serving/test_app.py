from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from registry.local_store import LocalStore
from registry.package import ModelPackage
from serving import shutdown
from serving.app import App, build_app, serve
from serving.config import ServerConfig
from tasks.errors import Conflict
from tests.handmade import encoded

JPEG = encoded(3)
CLASSIFY = "/v1/models/colours/classify"


@pytest.fixture
def store(tmp_path: Path, package: ModelPackage) -> LocalStore:
    made = LocalStore(tmp_path / "store")
    made.publish(package.folder)
    made.set_alias("colours", "champion", "1")
    return made


@asynccontextmanager
async def running(store: LocalStore, **settings: Any) -> AsyncIterator[App]:
    ports = dict.fromkeys(("http_port", "grpc_port", "metrics_port", "admin_port"), 0)
    cache = str(store.root.parent / "cache")
    app = build_app(store, ServerConfig(**ports, **{"cache_dir": cache, "runtime_threads": 1} | settings))
    await app.start()
    try:
        yield app
    finally:
        if not app.host.draining:
            await app.stop()


def client(app: App) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{app.ports.http}", trust_env=False)


async def test_all_four_ports_answer(store: LocalStore) -> None:
    async with running(store, admin_token="secret") as app, client(app) as http:
        assert (await http.get("/v2/health/ready")).json() == {"ready": True}
        answer = await http.post(CLASSIFY, content=JPEG)
        assert answer.json()["model_version"] == "1"
        metrics = await http.get(f"http://127.0.0.1:{app.ports.metrics}/metrics")
        assert 'tidegate_requests_total{code="200",model="colours"' in metrics.text
        admin = f"http://127.0.0.1:{app.ports.admin}/v2/repository/index"
        assert (await http.post(admin)).status_code == 401
        allowed = await http.post(admin, headers={"authorization": "Bearer secret"})
        assert allowed.json()[0]["state"] == "READY"


async def test_stopping_answers_what_was_accepted_and_then_closes_the_door(store: LocalStore) -> None:
    async with running(store) as app, client(app) as http:
        model = app.host.get("colours")
        requests = [asyncio.create_task(http.post(CLASSIFY, content=JPEG)) for _ in range(8)]
        async with asyncio.timeout(10):
            while model.num_in_flight < 8:  # noqa: ASYNC110 (nobody announces it)
                await asyncio.sleep(0)
        stopping = asyncio.create_task(app.stop())
        await asyncio.sleep(0)
        assert not app.host.ready()
        assert [answer.status_code for answer in await asyncio.gather(*requests)] == [200] * 8
        await stopping
        with pytest.raises(httpx.TransportError):
            await http.get("/v2/health/live")


async def test_a_client_that_keeps_its_connection_is_told_to_leave_and_not_cut_off(store: LocalStore) -> None:
    async with running(store) as app, client(app) as http:
        first = await http.get("/v2/health/ready")
        assert "connection" not in first.headers
        stopping = asyncio.create_task(app.stop())
        await asyncio.sleep(0.25)
        last = await http.post(CLASSIFY, content=JPEG)
        assert last.status_code == 200
        assert last.headers["connection"] == "close"
        await stopping


async def test_more_connections_than_configured_are_turned_away(store: LocalStore) -> None:
    async with running(store, max_connections=2) as app:
        held = [await asyncio.open_connection("127.0.0.1", app.ports.http) for _ in range(2)]
        async with client(app) as http:
            refused = await http.get("/v2/health/live")
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        assert "too many connections" in refused.json()["error"]
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.1)
        async with client(app) as http:
            assert (await http.get("/v2/health/live")).status_code == 200


@pytest.mark.parametrize("begun", [b"", b"POST /v2/models/colours/infer HTTP/1.1\r\ncontent-length: 100\r\n\r\nabc"])
async def test_a_client_that_never_finishes_its_request_is_dropped(store: LocalStore, begun: bytes) -> None:
    async with running(store, receive_timeout_s=0.3) as app:
        reader, writer = await asyncio.open_connection("127.0.0.1", app.ports.http)
        writer.write(begun)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        async with client(app) as http:
            assert (await http.get("/v2/health/live")).status_code == 200


async def test_what_is_no_http_is_told_so(store: LocalStore) -> None:
    async with running(store) as app:
        reader, writer = await asyncio.open_connection("127.0.0.1", app.ports.http)
        writer.write(b"EHLO tidegate\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 10)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b'{"error":' in answer
        writer.close()


async def test_a_port_that_is_taken_is_named(store: LocalStore) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = ServerConfig(http_port=taken.getsockname()[1], grpc_port=0, metrics_port=0, admin_port=0)
        with pytest.raises(Conflict, match="http_port"):
            build_app(store, config)


async def test_pipelined_requests_of_a_client_that_leaves_are_given_up(
    store: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    request = b"POST %b HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (CLASSIFY.encode(), len(JPEG), JPEG)
    async with running(store) as app:
        model = app.host.get("colours")
        for _ in range(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", app.ports.http)
            writer.write(request * 5)
            await reader.readexactly(20)
            writer.transport.abort()
        await asyncio.sleep(0.2)
        assert (model.num_in_flight, model.batcher.num_waiting_rows) == (0, 0)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_health_watcher_does_not_hold_up_the_end(store: LocalStore) -> None:
    async with (
        running(store, drain_timeout_s=60.0) as app,
        grpc.aio.insecure_channel(f"127.0.0.1:{app.ports.grpc}") as channel,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        # A server that waited for the watcher would take the 60 seconds; a machine may be slow besides.
        async with asyncio.timeout(50):
            await app.stop()
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_a_collector_that_never_answers_does_not_hold_up_the_end(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shutdown, "WRITE_LIMIT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as collector:
        url = f"http://127.0.0.1:{collector.getsockname()[1]}/v1/traces"
        async with running(store, traces_url=url, trace_share=1.0) as app, client(app) as http:
            assert (await http.post(CLASSIFY, content=JPEG)).status_code == 200
            await asyncio.wait_for(app.stop(), 10)
    assert "tracing took longer than 0.2 s and is left as it is" in caplog.text


async def test_a_model_on_its_way_in_does_not_hold_up_the_end(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shutdown, "FREE_LIMIT_S", 0.2)
    may_go_on = threading.Event()
    async with running(store) as app:
        looking = asyncio.create_task(app.host._on_loader(may_go_on.wait))  # as a download that hangs
        try:
            loading = asyncio.create_task(app.host.load("colours"))
            await asyncio.sleep(0)
            await asyncio.wait_for(app.stop(), 10)
        finally:
            may_go_on.set()
            await asyncio.gather(looking, loading, return_exceptions=True)
    assert "freeing models took longer than 0.2 s" in caplog.text


async def test_administration_that_is_under_way_keeps_nothing_from_being_freed(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutdown, "FREE_LIMIT_S", 0.2)
    freed = asyncio.Event()
    async with running(store, admin_token="secret", drain_timeout_s=1.0) as app:
        free = app.host.stop

        async def stop() -> None:
            freed.set()
            await free()

        monkeypatch.setattr(app.host, "stop", stop)
        reader, writer = await asyncio.open_connection("127.0.0.1", app.ports.admin)
        head = "POST /v2/repository/models/colours/load HTTP/1.1\r\nauthorization: Bearer secret\r\n"
        writer.write(f"{head}expect: 100-continue\r\ncontent-length: 9\r\n\r\n".encode())
        assert b"100 Continue" in await asyncio.wait_for(reader.readline(), 20)  # its body is waited for
        await app.stop()
        assert freed.is_set()
        writer.close()


async def test_the_end_is_limited_from_the_signal_on(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits_s: list[float] = []
    monkeypatch.setattr(shutdown, "end_within", limits_s.append)
    ports = dict.fromkeys(("http_port", "grpc_port", "metrics_port", "admin_port"), 0)
    config = ServerConfig(**ports, cache_dir=str(tmp_path / "cache"), runtime_threads=1, drain_timeout_s=7.0)
    serving = asyncio.create_task(serve(store, config))
    await asyncio.sleep(0)
    assert not serving.done()  # and so it is told of the signal
    assert limits_s == []
    signal.raise_signal(signal.SIGTERM)
    await asyncio.wait_for(serving, 60)
    assert limits_s == [shutdown.stop_limit_s(7.0)]
