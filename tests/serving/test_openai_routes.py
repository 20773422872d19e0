from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from registry.package import ModelPackage
from registry.store import LocalStore
from tests.serving.protocol_server import ProtocolServer, protocol_server
from tests.tiny_language import build_language_package

PROMPT = "Return the number"


@pytest.fixture(scope="session")
def language(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return build_language_package(tmp_path_factory.mktemp("language") / "tiny", num_golden=1, slots=(2,))


@pytest.fixture
async def server(language: ModelPackage, tmp_path: Path) -> AsyncIterator[ProtocolServer]:
    async with protocol_server(language.folder, tmp_path) as made:
        yield made


async def complete(server: ProtocolServer, **fields: Any) -> Any:
    return await server.http.post("/v1/completions", json={"model": "tiny", "prompt": PROMPT, "max_tokens": 4} | fields)


async def test_an_answer_has_what_the_api_promises(server: ProtocolServer, language: ModelPackage) -> None:
    answer = (await complete(server, temperature=0)).json()
    assert answer["object"] == "text_completion"
    assert answer["model"] == "tiny"
    assert answer["system_fingerprint"] == f"fp32-{language.digest[:12]}"
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + 4


async def test_clients_are_shown_what_they_can_ask(
    server: ProtocolServer, package: ModelPackage, tmp_path: Path
) -> None:
    store = LocalStore(tmp_path / "store")
    published = store.publish(package.folder)
    store.set_alias(published.name, "champion", published.version)
    await server.host.load(published.name)
    await server.host.load("tiny", "1")
    client = openai.AsyncOpenAI(base_url="http://server/v1", api_key="none", http_client=server.http, max_retries=0)
    (listed,) = [model async for model in client.models.list()]
    assert (listed.id, listed.object, listed.owned_by) == ("tiny", "model", "tidegate")
    assert listed == await client.models.retrieve("tiny")
    for name, words in (("nobody", "no model 'nobody'"), ("colours", "GET /v2/models/colours")):
        with pytest.raises(openai.NotFoundError, match=words) as raised:
            await client.models.retrieve(name)
        assert raised.value.code == "model_not_found"
    assert (await server.http.get("/v2/models")).json()["models"] == ["colours", "tiny"]


async def test_a_seed_may_be_negative(server: ProtocolServer) -> None:
    for seed in (-(2**63), -1, 2**63 - 1):
        assert (await complete(server, seed=seed)).status_code == 200
    refused = await complete(server, seed=2**63)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "seed")
    lowest, again = [(await complete(server, seed=-7, max_tokens=12)).json()["choices"] for _ in range(2)]
    assert lowest == again
    drawn = [(await complete(server, seed=-1, max_tokens=12)).json()["choices"][0]["text"] for _ in range(5)]
    assert len(set(drawn)) > 1


async def test_a_version_may_be_asked_for(server: ProtocolServer) -> None:
    assert (await complete(server, model="tiny/1")).status_code == 200
    assert (await complete(server, model="tiny/2")).status_code == 404


async def test_every_stream_ends_with_done(server: ProtocolServer) -> None:
    text = (await complete(server, temperature=0, stream=True, stream_options={"include_usage": True})).text
    *chunks, done, empty = text.split("\n\n")
    assert (done, empty) == ("data: [DONE]", "")
    assert json.loads(chunks[-1].removeprefix("data: "))["usage"]["completion_tokens"] == 4


async def test_requests_are_counted_by_how_they_end(server: ProtocolServer) -> None:
    for fields in ({}, {"stream": True}, {"prompt": ""}, {"model": "nobody"}):
        await complete(server, **fields)
    scraped = server.scrape()
    assert 'tidegate_requests_total{code="200",model="tiny",protocol="http",version="1"} 2.0' in scraped
    assert 'tidegate_requests_total{code="400",model="tiny",protocol="http",version="1"} 1.0' in scraped
    assert 'tidegate_requests_total{code="404",model="",protocol="http",version=""} 1.0' in scraped


async def test_errors_keep_to_the_routes_own_words(server: ProtocolServer) -> None:
    assert (await complete(server, prompt="")).json()["error"]["type"] == "invalid_request_error"
    assert (await server.http.get("/v1/completions")).status_code == 405
    ours = await server.http.post("/v1/models/tiny/generate", json={"prompt": ""})
    assert isinstance(ours.json()["error"], str)


async def test_a_fault_of_ours_is_a_500_without_details(
    server: ProtocolServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(server.host.get("tiny"), "start", fail)
    answer = await complete(server)
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] in answer.json()["error"]["message"]
    assert "a bug" not in answer.text
    assert "a bug" in caplog.text


async def test_the_docs_describe_what_there_is(server: ProtocolServer) -> None:
    described = (await server.http.get("/openapi.json")).json()
    for path in (
        "/v1/completions",
        "/v1/chat/completions",
        "/v1/models",
        "/v1/models/{name}",
        "/v1/models/tiny/generate",
        "/v2/models/tiny/generate",
        "/v2/models/tiny/generate_stream",
    ):
        assert path in described["paths"], path
    schemas = described["components"]["schemas"]
    asked = schemas["CompletionRequest"]["properties"]
    assert {"prompt", "logprobs", "regex", "num_beams"} <= asked.keys()
    assert not {"tools", "user", "suffix"} & asked.keys()
    for reference in set(json.dumps(described).split("#/components/schemas/")[1:]):
        assert reference.split('"')[0] in schemas
    body = described["paths"]["/v1/completions"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert (await server.http.post("/v1/completions", json=body)).status_code == 200


async def test_a_batch_that_never_fits_is_not_told_to_come_back(server: ProtocolServer) -> None:
    answer = await complete(server, prompt=[PROMPT] * 20, n=16)
    assert answer.status_code == 413
    assert "320 answers" in answer.json()["error"]["message"]
    assert "retry-after" not in answer.headers
    tensor = {"name": "text_input", "datatype": "BYTES", "shape": [20], "data": [PROMPT] * 20}
    asked = await server.http.post("/v2/models/tiny/infer", json={"inputs": [tensor], "parameters": {"n": 16}})
    assert asked.status_code == 413
