"""Capture of what real models answer, through the HTTP application."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from monitoring.captured_items import CapturedItem, read_captured
from registry.package import ModelPackage
from tests.handmade import encoded
from tests.handmade_segmentation import encoded_patches
from tests.serving.protocol_server import protocol_server
from tests.tiny_language import build_language_package

CAPTURING = {"capture_share": 1.0}


def kept(folder: Path, model: str) -> dict[tuple[str, int], CapturedItem]:
    return {(one.row.request_id, one.row.index): one for one in read_captured(folder / "captured", model)}


def settings(folder: Path) -> dict[str, Any]:
    return CAPTURING | {"capture_dir": str(folder / "captured")}


async def test_pictures_as_they_came_with_what_was_answered_and_the_label(
    package: ModelPackage, tmp_path: Path
) -> None:
    async with protocol_server(package.folder, tmp_path, **settings(tmp_path)) as server:
        files = [("file", (f"{seed}.png", encoded(seed, "PNG"))) for seed in (1, 2)]
        answer = await server.http.post(
            "/v1/models/colours/classify", files=files, data={"top_k": "2"}, headers={"X-Request-Id": "a"}
        )
        await server.http.post("/v1/models/colours/feedback", json={"request_id": "a", "index": 1, "label": "red"})
    items = kept(tmp_path, "colours")
    assert items.keys() == {("a", 0), ("a", 1)}
    for (_, index), item in items.items():
        assert item.picture is not None
        assert item.picture.read_bytes() == files[index][1][1]
        assert json.loads(item.row.prediction) == answer.json()["predictions"][index]
        assert item.row.parameters == '{"top_k":2}'
        assert (item.row.version, item.row.variant, item.row.kind) == ("1", "fp32", "classification")
    assert items["a", 0].truth is None
    assert items["a", 1].truth == {"label": "red", "class_id": 1}


async def test_drawings_are_captured_like_answers(segmenter: ModelPackage, tmp_path: Path) -> None:
    async with protocol_server(segmenter.folder, tmp_path, **settings(tmp_path)) as server:
        payload = encoded_patches(3)
        await server.http.post(
            "/v1/models/patches/segment?overlay=true", content=payload, headers={"X-Request-Id": "o"}
        )
        await server.http.post("/v1/models/patches/segment", content=b"no picture")
    [item] = kept(tmp_path, "patches").values()
    assert item.picture is not None
    assert item.picture.read_bytes() == payload
    assert "rle" not in item.row.prediction
    assert json.loads(item.row.prediction)["segments"]


async def test_prompts_and_conversations(tmp_path: Path) -> None:
    package = build_language_package(tmp_path / "package", num_golden=1, slots=(2,))
    async with protocol_server(package.folder, tmp_path, **settings(tmp_path)) as server:
        greedy = {"max_tokens": 3, "temperature": 0}
        asked = {"prompt": "Return", **greedy}
        told = await server.http.post("/v1/models/tiny/generate", json=asked, headers={"X-Request-Id": "g"})
        messages = [{"role": "user", "content": "Return"}]
        body = {"model": "tiny", "messages": messages, **greedy}
        await server.http.post("/v1/chat/completions", json=body, headers={"X-Request-Id": "c"})
    items = kept(tmp_path, "tiny")
    assert items["g", 0].row.prompt == "Return"
    assert json.loads(items["g", 0].row.prediction) == told.json()["predictions"][0]
    assert json.loads(items["c", 0].row.prompt) == messages
