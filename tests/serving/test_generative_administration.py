"""What both ports say about models that generate, and what an operator can do with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.serving.host_server import until
from tests.serving.protocol_server import ProtocolServer, protocol_server
from tests.tiny_captioner import build_captioner_package
from tests.tiny_language import build_language_package

ASKED = {"text_input": "Return the number", "parameters": {"max_tokens": 8, "temperature": 0, "ignore_end": True}}


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_language_package(tmp_path_factory.mktemp("package") / "tiny", context=512).folder


@pytest.fixture
async def protocol(language: Path, tmp_path: Path) -> AsyncIterator[ProtocolServer]:
    async with protocol_server(language, tmp_path, drift_min_window=2, drift_check_interval_s=0.01) as made:
        yield made


async def generate(protocol: ProtocolServer) -> str:
    answer = await protocol.http.post("/v2/models/tiny/generate", json=ASKED)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["text_output"])


async def test_drift_of_prompts_is_reported_and_forgotten(protocol: ProtocolServer) -> None:
    for _ in range(2):
        await generate(protocol)
    await until(lambda: protocol.host.get("tiny").drift.observed == 2)
    report = (await protocol.http.get("/v1/models/tiny/drift")).json()
    assert (report["num_images"], report["status"] != "collecting") == (2, True)
    assert "mean_logprob" in {signal["signal"] for signal in report["signals"]}
    assert (await protocol.admin_http.post("/v1/models/tiny/drift/reset")).status_code == 200
    assert (await protocol.http.get("/v1/models/tiny/drift")).json()["num_images"] == 0


async def test_index_and_statistics_know_it(protocol: ProtocolServer) -> None:
    await generate(protocol)
    (line,) = (await protocol.http.post("/v2/repository/index", json={})).json()
    assert (line["name"], line["version"], line["state"]) == ("tiny", "1", "READY")
    assert (await protocol.http.get("/v2/models/tiny/ready")).status_code == 200
    (seen,) = (await protocol.http.get("/v2/models/tiny/stats")).json()["model_stats"]
    assert (seen["inference_count"], seen["inference_stats"]["success"]["count"]) == (1, 1)
    assert seen["execution_count"] == 8


async def test_unloading_waits_for_answers_and_loading_brings_the_model_back(protocol: ProtocolServer) -> None:
    before = await generate(protocol)
    running = asyncio.create_task(generate(protocol))
    await until(lambda: protocol.host.get("tiny").num_in_flight or running.done())
    assert (await protocol.admin_http.post("/v2/repository/models/tiny/unload")).status_code == 200
    assert await running == before
    assert (await protocol.http.post("/v2/models/tiny/generate", json=ASKED)).status_code == 503
    assert (await protocol.admin_http.post("/v2/repository/models/tiny/load")).status_code == 200
    assert await generate(protocol) == before


async def test_a_captioner_says_that_it_takes_pictures(tmp_path: Path) -> None:
    package = build_captioner_package(tmp_path / "captioner")
    async with protocol_server(package.folder, tmp_path / "server") as protocol:
        described = (await protocol.http.get("/v2/models/tiny-captioner")).json()
        payload = package.golden_inputs()[0]
        answer = await protocol.http.post("/v1/models/tiny-captioner/caption", content=payload)
        scraped = protocol.scrape()
    assert [(one["name"], one["datatype"]) for one in described["inputs"]] == [("encoded_image", "BYTES")]
    assert answer.status_code == 200, answer.text
    assert 'tidegate_completion_tokens_total{model="tiny-captioner",version="1"}' in scraped
    assert 'tidegate_stage_seconds_count{model="tiny-captioner",stage="decode",version="1"} 1.0' in scraped
