"""Feedback on captions and generated texts, through the HTTP application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from registry.package import ModelPackage
from tests.serving.protocol_server import ProtocolServer, protocol_server
from tests.tiny_captioner import build_captioner_package, picture
from tests.tiny_language import build_language_package

FEEDBACK = "/v1/models/tiny/feedback"
GREEDY = {"max_tokens": 4, "temperature": 0}


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return build_language_package(tmp_path_factory.mktemp("language") / "tiny", num_golden=1, slots=(2,))


@pytest.fixture
async def texts(language: ModelPackage, tmp_path: Path) -> AsyncIterator[ProtocolServer]:
    async with protocol_server(language.folder, tmp_path) as made:
        yield made


def value(server: ProtocolServer, name: str, **labels: str) -> float | None:
    return server.metrics.registry.get_sample_value(f"tidegate_{name}", {"version": "1", **labels})


async def test_texts_get_references_and_ratings(texts: ProtocolServer) -> None:
    answer = await texts.http.post("/v1/models/tiny/generate", json={"prompt": "Return", **GREEDY})
    text = answer.json()["predictions"][0]["choices"][0]["text"]
    feedback = {
        "request_id": answer.headers["x-request-id"],
        "references": ["quite another", text.upper()],
        "rating": 0.5,
    }
    told = (await texts.http.post(FEEDBACK, json=feedback)).json()
    assert (told["exact"], told["token_f1"], told["rating"]) == (True, 1.0, 0.5)
    assert value(texts, "feedback_texts_total", model="tiny", outcome="exact") == 1
    assert value(texts, "feedback_token_f1_sum", model="tiny") == 1
    assert value(texts, "feedback_rating_sum", model="tiny") == 0.5
    assert value(texts, "feedback_rating_count", model="tiny") == 1


async def test_conversations_and_lists_of_prompts_are_rated(texts: ProtocolServer) -> None:
    chat: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "Return"}], **GREEDY}
    rated = []
    for body in (chat, chat | {"stream": True}):
        answer = await texts.http.post("/v1/chat/completions", json=body)
        rated.append({"request_id": answer.headers["x-request-id"], "rating": "up"})
    prompts = {"model": "tiny", "prompt": ["Return", "Write"], **GREEDY}
    answer = await texts.http.post("/v1/completions", json=prompts)
    said = [choice["text"] for choice in answer.json()["choices"]]
    by_index = [
        {"request_id": answer.headers["x-request-id"], "index": index, "references": [text]}
        for index, text in enumerate(said)
    ]
    down = {"request_id": "elsewhere", "version": "1", "rating": "down", "prediction": {"text": "whatever"}}
    told = (await texts.http.post(FEEDBACK, json=[*rated, *by_index, down])).json()["results"]
    assert [one["status"] for one in told] == [200] * 5
    assert [one["rating"] for one in (*told[:2], told[4])] == [1.0, 1.0, 0.0]
    assert [one["exact"] for one in told[2:4]] == [True, True]


async def test_texts_take_no_labels(texts: ProtocolServer) -> None:
    answer = await texts.http.post("/v1/models/tiny/generate", json={"prompt": "Return", **GREEDY})
    refused = await texts.http.post(FEEDBACK, json={"request_id": answer.headers["x-request-id"], "label": "red"})
    assert refused.status_code == 400
    assert "takes no label as feedback; send references or rating" in refused.json()["error"]


async def test_captions_are_judged_picture_by_picture(tmp_path: Path) -> None:
    package = build_captioner_package(tmp_path / "package", num_golden=1, slots=(2,))
    async with protocol_server(package.folder, tmp_path) as server:
        files = [("file", (f"{seed}.jpg", picture(seed))) for seed in (1, 2)]
        answer = await server.http.post("/v1/models/tiny-captioner/caption?max_tokens=3", files=files)
        captions = [one["captions"][0]["text"] for one in answer.json()["predictions"]]
        feedback = [
            {"request_id": answer.headers["x-request-id"], "index": index, "references": [text]}
            for index, text in enumerate(captions)
        ]
        told = (await server.http.post("/v1/models/tiny-captioner/feedback", json=feedback)).json()["results"]
    assert [(one["status"], one["exact"]) for one in told] == [(200, True), (200, True)]
