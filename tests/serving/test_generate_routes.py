from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from registry.package import ModelPackage
from tests.serving.protocol_server import ProtocolServer, protocol_server
from tests.tiny_captioner import build_captioner_package, picture
from tests.tiny_language import build_language_package

GENERATE, CAPTION = "/v1/models/tiny/generate", "/v1/models/tiny-captioner/caption"
GREEDY = {"max_tokens": 6, "temperature": 0}


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelPackage]:
    folder = tmp_path_factory.mktemp("generating")
    return {
        "text": build_language_package(folder / "tiny", num_golden=1, slots=(2,), chat_template=False),
        "captions": build_captioner_package(folder / "captioner", num_golden=1, slots=(2,)),
    }


@pytest.fixture
async def texts(packages: dict[str, ModelPackage], tmp_path: Path) -> AsyncIterator[ProtocolServer]:
    async with protocol_server(packages["text"].folder, tmp_path, max_json_bytes=10_000) as made:
        yield made


@pytest.fixture
async def captions(packages: dict[str, ModelPackage], tmp_path: Path) -> AsyncIterator[ProtocolServer]:
    async with protocol_server(packages["captions"].folder, tmp_path) as made:
        yield made


def events(text: str) -> list[Any]:
    return [json.loads(block.removeprefix("data: ")) for block in text.strip().split("\n\n")]


async def test_a_text_goes_on_whole_and_in_pieces(texts: ProtocolServer) -> None:
    asked = {"prompt": "Return", **GREEDY}
    whole = (await texts.http.post(GENERATE, json=asked)).json()
    *pieces, last = events((await texts.http.post(GENERATE, json=asked | {"stream": True})).text)
    assert "".join(piece["text"] for piece in pieces) == whole["predictions"][0]["choices"][0]["text"]
    usage = last.pop("usage")
    assert last == whole
    assert usage["completion_tokens"] == 6


async def test_answers_come_best_first(texts: ProtocolServer) -> None:
    answer = await texts.http.post(GENERATE, json={"prompt": "Return", "n": 2, "seed": 1, "max_tokens": 4})
    scores = [choice["score"] for choice in answer.json()["predictions"][0]["choices"]]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 400, "prompt is missing"),
        ({"prompt": None}, 400, "must be a text"),
        ({"prompt": ["a"]}, 400, "must be a text"),
        ({"prompt": ""}, 400, "empty"),
        ({"prompt": "a", "stream": 1}, 400, "stream"),
        ({"prompt": "a", "beams": 1}, 400, "known"),
        ({"prompt": "a", "regex": "a", "json_schema": {}}, 400, "exclude"),
        ({"prompt": "a" * 9_000}, 400, "context"),
        ({"prompt": "a" * 10_000}, 413, "10000"),
    ],
)
async def test_what_can_not_be_right_says_so(texts: ProtocolServer, body: Any, status: int, words: str) -> None:
    answer = await texts.http.post(GENERATE, json=body)
    assert answer.status_code == status
    assert words in answer.json()["error"]


async def test_chats_need_a_template(texts: ProtocolServer) -> None:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "a"}]}
    answer = await texts.http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unsupported"


async def test_the_protocols_generate_answers_in_its_form(texts: ProtocolServer) -> None:
    request = {"id": "7", "text_input": "Return", "parameters": GREEDY}
    whole = (await texts.http.post("/v2/models/tiny/generate", json=request)).json()
    assert whole.keys() == {"id", "model_name", "model_version", "text_output"}
    pieces = events((await texts.http.post("/v2/models/tiny/generate_stream", json=request)).text)
    assert "".join(piece["text_output"] for piece in pieces) == whole["text_output"]
    assert {piece["id"] for piece in pieces} == {"7"}
    several = request | {"parameters": {**GREEDY, "n": 2}}
    told = events((await texts.http.post("/v2/models/tiny/generate_stream", json=several)).text)
    assert {piece["choice"] for piece in told} == {0, 1}


async def test_inference_takes_one_input_of_prompts(texts: ProtocolServer) -> None:
    def body(*inputs: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"inputs": list(inputs), "parameters": GREEDY} | more

    prompts = {"name": "text_input", "datatype": "BYTES", "shape": [2], "data": ["Return", "Write"]}
    answer = (await texts.http.post("/v2/models/tiny/infer", json=body(prompts))).json()
    shapes = {output["name"]: output["shape"] for output in answer["outputs"]}
    assert shapes == {"text_output": [2], "finish_reason": [2], "num_tokens": [2], "score": [2]}
    for wrong in (
        body(),
        body(prompts | {"name": "image"}),
        body(prompts, prompts | {"name": "other"}),
        body(prompts | {"datatype": "INT64", "data": [1, 2]}),
        body(prompts | {"shape": [0], "data": []}),
        body(prompts | {"shape": [65], "data": ["a"] * 65}),
        body(prompts, outputs=[{"name": "logits"}]),
        body(prompts, outputs=[{"name": "text_output", "parameters": {"classification": 2}}]),
        body(prompts | {"data": ["Return", ""]}),
    ):
        assert (await texts.http.post("/v2/models/tiny/infer", json=wrong)).status_code == 400


async def test_pictures_get_captions_and_the_docs_say_how(captions: ProtocolServer) -> None:
    answer = (await captions.http.post(f"{CAPTION}?max_tokens=4&n=2", content=picture(0))).json()
    assert len(answer["predictions"][0]["captions"]) == 2
    told = events((await captions.http.post(f"{CAPTION}?max_tokens=4&stream=1", content=picture(0))).text)
    assert told[-1]["model_name"] == "tiny-captioner"
    described = (await captions.http.get("/openapi.json")).json()
    operation = described["paths"][CAPTION]["post"]
    assert {"n", "stream", "num_beams"} <= {one["name"] for one in operation["parameters"]}
    assert "/v1/completions" not in described["paths"]
    for model in ("tiny-captioner", "nobody"):
        answer = await captions.http.post("/v1/completions", json={"model": model, "prompt": "a"})
        assert answer.status_code in (400, 404)
