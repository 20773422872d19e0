"""Traces of requests, as a collector gets them, and the exemplars that lead to them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import grpc
import pytest
import tritonclient.grpc.aio as triton
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from registry.package import ModelPackage
from serving.config import ServerConfig
from serving.oip.grpc import add_services
from serving.tracing import tracing as module
from serving.tracing.trace import note_stage
from serving.tracing.tracing import open_tracing
from tasks.errors import InvalidRecipe
from tests.handmade import encoded
from tests.serving.protocol_server import ProtocolServer, protocol_server
from tests.serving.tracing.collector import Collector, attributes_of, running_collector
from tests.serving.wire import IMAGES

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
FOLLOWED = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
STAGES = ("decode", "queue", "compute", "encode")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


async def classify(server: ProtocolServer, **headers: str) -> int:
    picture = {"content-type": "image/jpeg", **headers}
    return (await server.http.post("/v1/models/colours/classify", content=encoded(1), headers=picture)).status_code


async def test_a_request_is_a_span_and_its_stages_are_below_it(
    package: ModelPackage, tmp_path: Path, collector: Collector
) -> None:
    settings = {"traces_url": collector.url, "trace_share": 0.0}
    async with protocol_server(package.folder, tmp_path, **settings) as server:
        assert await classify(server, **FOLLOWED, **{"x-request-id": "order-7"}) == 200
    request = collector.spans["v1 classify"]
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, SPAN), "it goes on with the caller's"
    told = attributes_of(request)
    assert (told["tidegate.model"], told["tidegate.version"]) == ("colours", "1")
    assert (told["tidegate.request_id"], told["http.response.status_code"]) == ("order-7", 200)
    ends = []
    for name in STAGES:
        stage = collector.spans[name]
        assert (stage.trace_id, stage.parent_span_id) == (request.trace_id, request.span_id)
        assert request.start_time_unix_nano <= stage.start_time_unix_nano <= stage.end_time_unix_nano
        assert stage.end_time_unix_nano <= request.end_time_unix_nano
        ends.append(stage.end_time_unix_nano)
    assert ends == sorted(ends)
    assert collector.resources[0]["service.name"] == "tidegate"


async def test_a_call_over_grpc_goes_on_with_its_callers_trace(
    package: ModelPackage, tmp_path: Path, collector: Collector
) -> None:
    tensor = triton.InferInput("image", list(IMAGES.shape), "UINT8")
    tensor.set_data_from_numpy(IMAGES)
    tracing = open_tracing(ServerConfig(traces_url=collector.url, trace_share=0.0))
    async with protocol_server(package.folder, tmp_path) as server:
        services = grpc.aio.server()
        add_services(services, server.host, server.config, server.metrics, server.regions, server.access, tracing)
        port = services.add_insecure_port("127.0.0.1:0")
        await services.start()
        async with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
            await client.infer("colours", [tensor])
            await client.infer("colours", [tensor], headers=FOLLOWED)
        await services.stop(None)
    tracing.close()
    call = collector.spans["ModelInfer"]
    assert (call.trace_id.hex(), call.parent_span_id.hex()) == (TRACE, SPAN)
    assert attributes_of(call)["rpc.grpc.status_code"] == "OK"


async def test_what_others_are_told_is_the_span_that_the_collector_gets(collector: Collector) -> None:
    tracing = open_tracing(ServerConfig(traces_url=collector.url, trace_share=1.0))
    told = {}
    for name in ("first", "second"):
        trace = tracing.begin(name, {}, monotonic())
        assert trace is not None
        note_stage(trace, f"{name} compute", monotonic(), monotonic())
        told[name] = trace.handed_on
        tracing.end(trace, monotonic())
    await asyncio.sleep(0)
    await asyncio.to_thread(tracing.close)
    for name, handed_on in told.items():
        span, stage = collector.spans[name], collector.spans[f"{name} compute"]
        assert handed_on == f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01"
        assert stage.parent_span_id == span.span_id != stage.span_id


async def test_an_error_is_followed_like_an_answer(package: ModelPackage, tmp_path: Path, collector: Collector) -> None:
    async with protocol_server(package.folder, tmp_path, traces_url=collector.url, trace_share=1.0) as server:
        answer = await server.http.post("/v1/models/colours/classify", content=b"no picture")
    assert attributes_of(collector.spans["v1 classify"])["http.response.status_code"] == answer.status_code == 400


async def test_who_is_not_followed_is_not(package: ModelPackage, tmp_path: Path, collector: Collector) -> None:
    settings = {"traces_url": collector.url, "trace_share": 0.0}
    async with protocol_server(package.folder, tmp_path, **settings) as server:
        assert await classify(server) == 200
        assert await classify(server, traceparent=f"00-{TRACE}-{SPAN}-00") == 200
    assert not collector.spans


async def test_a_bucket_names_a_trace_that_fell_into_it(
    package: ModelPackage, tmp_path: Path, collector: Collector
) -> None:
    async with protocol_server(package.folder, tmp_path, traces_url=collector.url, trace_share=0.0) as server:
        await classify(server)
        await classify(server, **FOLLOWED)
        exposed = generate_latest(server.metrics.registry).decode()
    families = {one.name: one for one in text_string_to_metric_families(exposed)}
    buckets = [one for one in families["tidegate_stage_seconds"].samples if one.labels.get("stage") == "total"]
    (marked,) = [one for one in buckets if one.exemplar is not None]
    assert marked.exemplar.labels == {"trace_id": TRACE}
    assert marked.exemplar.value <= float(marked.labels["le"])


async def test_a_collector_that_is_away_costs_nobody_an_answer(package: ModelPackage, tmp_path: Path) -> None:
    nowhere = {"traces_url": "http://127.0.0.1:9/v1/traces", "trace_share": 1.0}
    async with protocol_server(package.folder, tmp_path, **nowhere) as server:
        assert [await classify(server) for _ in range(3)] == [200, 200, 200]


def test_without_opentelemetry_traces_are_refused_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGES", ("no_such_telemetry.sdk",))
    assert not open_tracing(ServerConfig()).is_on
    with pytest.raises(InvalidRecipe, match=r"pip install 'tidegate\[traces\]'"):
        open_tracing(ServerConfig(traces_url="http://collector:4318/v1/traces"))


@pytest.mark.parametrize(
    "url", ["collector:4317", "grpc://collector:4317", "http://", "http://collector:x/v1/traces", "a"]
)
def test_what_is_no_address_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(InvalidRecipe, match="like http://collector:4318/v1/traces"):
        open_tracing(ServerConfig(traces_url=url))
