"""Who answers, over every protocol."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest
from tritonclient.grpc import service_pb2

from registry.store import LocalStore
from serving.challenger import canary
from serving.challenger.share import CANARY, falls_within
from serving.oip.grpc_inference import InferenceCalls
from serving.served_model import ServedModel
from tasks.errors import BadInput, NotReady
from tests.handmade import encoded
from tests.serving.host_server import until
from tests.serving.oip.test_grpc_stream import stream_of_bytes
from tests.serving.protocol_server import ProtocolServer, protocol_server
from tests.serving.wire import CLASSIFY, IMAGES, INFER, bytes_tensor, image_in_binary
from tests.tiny_language import build_language_package

JPEG = encoded(3)
VERSION = "x-model-version"


@asynccontextmanager
async def two_versions(champion: Path, challenger: Path, folder: Path, share: float) -> AsyncIterator[ProtocolServer]:
    """Version 1 is champion, version 2 its challenger, and both are loaded."""
    async with protocol_server(champion, folder, challenger_share=share, poll_interval_s=0.01) as server:
        store = LocalStore(folder / "store")
        published = store.publish(challenger)
        store.set_alias(published.name, "challenger", published.version)
        await until(lambda: [one.state for one in server.host.index()] == ["READY", "READY"])
        yield server


@pytest.fixture
async def half(versions: Path, tmp_path: Path) -> AsyncIterator[ProtocolServer]:
    """Every second request is the challenger's."""
    async with two_versions(versions / "colours-0", versions / "colours-2", tmp_path, 0.5) as server:
        yield server


@pytest.fixture
async def whole(versions: Path, tmp_path: Path) -> AsyncIterator[ProtocolServer]:
    """All that name no version."""
    async with two_versions(versions / "colours-0", versions / "colours-2", tmp_path, 1.0) as server:
        yield server


def challenger_of(server: ProtocolServer) -> ServedModel:
    model = server.host.get("colours", "2")
    assert isinstance(model, ServedModel)
    return model


async def ask(server: ProtocolServer, request_id: str, path: str = CLASSIFY) -> httpx.Response:
    return await server.http.post(path, content=JPEG, headers={"x-request-id": request_id})


def expected(request_id: str) -> str:
    return "2" if falls_within(0.5, request_id.encode(), CANARY) else "1"


async def test_the_id_of_a_request_says_who_answers_it_every_time(half: ProtocolServer) -> None:
    for request_id in (f"order-{number}" for number in range(20)):
        answers = [await ask(half, request_id) for _ in range(2)]
        for answer in answers:
            assert answer.headers[VERSION] == answer.json()["model_version"] == expected(request_id)
    scraped = half.scrape()
    answered = Counter(expected(f"order-{number}") for number in range(20))
    assert 0 < answered["2"] < 20
    counted = f'outcome="answered",version="2"}} {2 * answered["2"]}.0'
    assert f'tidegate_canary_requests_total{{model="colours",{counted}' in scraped
    assert f'code="200",model="colours",protocol="http",version="2"}} {2 * answered["2"]}.0' in scraped


async def test_requests_without_an_id_are_spread(half: ProtocolServer) -> None:
    versions = [(await half.http.post(CLASSIFY, content=JPEG)).headers[VERSION] for _ in range(40)]
    assert set(versions) == {"1", "2"}


async def test_every_protocol_goes_by_the_same_rule_and_a_named_version_is_kept(half: ProtocolServer) -> None:
    calls = InferenceCalls(half.host, half.config, half.metrics, half.regions)
    for request_id in (f"order-{number}" for number in range(6)):
        request = image_in_binary(IMAGES)
        answer = await half.http.post(INFER, **request | {"headers": request["headers"] | {"x-request-id": request_id}})
        assert answer.headers[VERSION] == expected(request_id)
        assert (await calls.answer(infer_message(request_id), None, {})).model_version == expected(request_id)
        assert (await calls.answer(infer_message(request_id, "1"), None, {})).model_version == "1"
        pinned = await ask(half, request_id, "/v1/models/colours/versions/1/classify")
        assert pinned.headers[VERSION] == "1"
        assert (await ask(half, request_id, "/v1/models/colours/versions/2/classify")).headers[VERSION] == "2"
    counted = {(await calls.answer(infer_message(""), None, {})).model_version for _ in range(40)}
    assert counted == {"1", "2"}
    assert 'code="OK",model="colours",protocol="grpc",version="2"}' in half.scrape()


def infer_message(request_id: str, version: str = "") -> Any:
    tensor = service_pb2.ModelInferRequest.InferInputTensor(name="image", datatype="UINT8", shape=IMAGES.shape)
    return service_pb2.ModelInferRequest(
        model_name="colours",
        model_version=version,
        id=request_id,
        inputs=[tensor],
        raw_input_contents=[IMAGES.tobytes()],
    )


async def test_what_the_challenger_can_not_answer_the_champion_does(
    whole: ProtocolServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await ask(whole, "a")).headers[VERSION] == "2"

    async def fail(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("a bug of the new version")

    for name in ("answer", "infer"):
        monkeypatch.setattr(challenger_of(whole), name, fail)
    answer = await ask(whole, "a")
    assert (answer.status_code, answer.headers[VERSION], answer.json()["model_version"]) == (200, "1", "1")
    calls = InferenceCalls(whole.host, whole.config, whole.metrics, whole.regions)
    assert (await calls.answer(infer_message("a"), None, {})).model_version == "1"
    assert "a bug of the new version" in caplog.text
    scraped = whole.scrape()
    assert 'tidegate_canary_requests_total{model="colours",outcome="failed",version="2"} 2.0' in scraped
    assert 'code="200",model="colours",protocol="http",version="1"} 1.0' in scraped
    assert 'code="500",model="colours",protocol="http",version="2"} 1.0' not in scraped


async def test_a_request_that_can_not_be_right_is_told_so_by_the_champion(
    whole: ProtocolServer, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await whole.http.post(CLASSIFY, content=b"no picture")
    assert (answer.status_code, answer.headers[VERSION]) == (400, "1")
    assert 'tidegate_canary_requests_total{model="colours",outcome="failed",version="2"} 0.0' in whole.scrape()
    assert "could not answer" not in caplog.text, "what nobody can answer is no fault of the challenger"


async def test_what_only_the_challenger_refuses_is_its_failure_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def ask(model: Any) -> str:
        if model.version == "2":
            raise BadInput("it takes smaller pictures")
        return str(model.version)

    statistics = canary.CanaryStatistics()
    for _ in range(3):
        assert await canary.Canary(Version("2"), lambda: Version("1"), statistics).ask(ask) == "1"
    assert statistics.outcomes == {"failed": 3}
    assert caplog.text.count("it takes smaller pictures") == 1


async def test_nobody_waits_for_a_challenger_that_hangs(whole: ProtocolServer, monkeypatch: pytest.MonkeyPatch) -> None:
    challenger, busy_s, released = challenger_of(whole), 0.0, asyncio.Event()

    async def hang(*_: Any, **__: Any) -> Any:
        nonlocal busy_s
        busy_s = 100.0
        await released.wait()

    monkeypatch.setattr(canary, "PATIENCE_S", 0.05)
    monkeypatch.setattr(challenger, "answer", hang)
    monkeypatch.setattr(challenger.batcher, "stalled_s", lambda: busy_s)
    answers = await asyncio.gather(*(ask(whole, f"{number}") for number in range(4)))
    assert {answer.headers[VERSION] for answer in answers} == {"1"}
    assert (await ask(whole, "later")).headers[VERSION] == "1"  # it is not even asked
    assert challenger.num_in_flight == 0
    scraped = whole.scrape()
    assert 'outcome="failed",version="2"} 4.0' in scraped
    assert 'outcome="unavailable",version="2"} 1.0' in scraped


async def test_one_whose_time_is_up_is_the_challengers_failure(whole: ProtocolServer) -> None:
    answer = await whole.http.post(INFER, **image_in_binary(IMAGES, parameters={"timeout": 1}))
    assert (answer.status_code, answer.headers[VERSION]) == (504, "2")
    scraped = whole.scrape()
    assert 'tidegate_canary_requests_total{model="colours",outcome="expired",version="2"} 1.0' in scraped
    assert 'code="504",model="colours",protocol="http",version="2"} 1.0' in scraped


async def test_a_caller_who_leaves_takes_his_question_along() -> None:
    given_up = asyncio.Event()

    async def answer_never(_: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    statistics = canary.CanaryStatistics()
    asked = canary.Canary(Version("2"), lambda: Version("1"), statistics)
    caller = asyncio.create_task(asked.ask(answer_never))
    await asyncio.sleep(0.01)
    caller.cancel()
    await asyncio.wait({caller})
    await asyncio.wait_for(given_up.wait(), 5)
    assert caller.cancelled()
    assert statistics.outcomes == {}


async def test_the_champion_is_whoever_is_that_when_it_is_needed() -> None:
    async def ask(model: Any) -> str:
        if model.version == "2":
            raise NotReady("it is being unloaded")
        return str(model.version)

    champions = [Version("1")]
    asked = canary.Canary(Version("2"), lambda: champions[-1], canary.CanaryStatistics())
    champions.append(Version("3"))
    assert await asked.ask(ask) == "3"
    assert asked.model.version == "3"


class Version:
    """As much of a served model as is asked of it."""

    def __init__(self, version: str) -> None:
        self.name, self.version = "colours", version

    def stalled_s(self) -> float:
        return 0.0

    def lease(self) -> Any:
        return nullcontext()


@pytest.fixture(scope="module")
def languages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders tiny-0 and tiny-1, which continue differently."""
    root = tmp_path_factory.mktemp("languages")
    for seed in range(2):
        build_language_package(root / f"tiny-{seed}", seed=seed, num_golden=1, num_profile=4)
    return root


async def test_streams_and_the_openai_api_say_who_writes_them(languages: Path, tmp_path: Path) -> None:
    greedy = {"max_tokens": 6, "temperature": 0}
    async with two_versions(languages / "tiny-0", languages / "tiny-1", tmp_path, 0.5) as server:
        for number in range(8):
            request_id = f"order-{number}"
            headers = {"x-request-id": request_id}
            body = {"model": "tiny", "prompt": "Return", **greedy}
            whole = await server.http.post("/v1/completions", json=body, headers=headers)
            streamed = await server.http.post("/v1/completions", json=body | {"stream": True}, headers=headers)
            assert whole.headers[VERSION] == streamed.headers[VERSION] == expected(request_id)
            generated = await server.http.post(
                "/v1/models/tiny/generate", json={"prompt": "Return", "stream": True, **greedy}, headers=headers
            )
            last = json.loads(generated.text.strip().splitlines()[-1].removeprefix("data: "))
            assert last["model_version"] == generated.headers[VERSION] == expected(request_id)
        texts = service_pb2.ModelInferRequest.InferInputTensor(name="text_input", datatype="BYTES", shape=[1])
        contents = [bytes_tensor(b"Return")]
        for request_id in (f"order-{number}" for number in range(8)):
            message = service_pb2.ModelInferRequest(
                model_name="tiny", id=request_id, inputs=[texts], raw_input_contents=contents
            )
            message.parameters["max_tokens"].int64_param = 3
            message.parameters["triton_enable_empty_final_response"].bool_param = True
            told = await stream_of_bytes(server, message.SerializeToString())
            assert {one.infer_response.model_version for one in told} == {expected(request_id)}
