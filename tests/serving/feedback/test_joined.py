"""Feedback joined to the answers of real models, through the HTTP application."""

from __future__ import annotations

import asyncio
import base64
import io
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from registry.package import ModelPackage
from registry.store import LocalStore
from serving.feedback import routes
from tests.handmade import Handmade, build_package, encoded
from tests.handmade_segmentation import encoded_patches
from tests.serving.protocol_server import ProtocolServer, protocol_server

COLOURS, CELLS, PATCHES = ("/v1/models/colours", "/v1/models/cells", "/v1/models/patches")


@pytest.fixture
async def detecting(detector: ModelPackage, tmp_path: Path) -> AsyncIterator[ProtocolServer]:
    async with protocol_server(detector.folder, tmp_path) as made:
        yield made


@pytest.fixture
async def segmenting(segmenter: ModelPackage, tmp_path: Path) -> AsyncIterator[ProtocolServer]:
    async with protocol_server(segmenter.folder, tmp_path) as made:
        yield made


async def ask(server: ProtocolServer, path: str, payload: bytes, request_id: str) -> Any:
    answer = await server.http.post(path, content=payload, headers={"X-Request-Id": request_id})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-request-id"] == request_id
    return answer


async def tell(server: ProtocolServer, model: str, feedback: Any) -> httpx.Response:
    return await server.http.post(f"{model}/feedback", json=feedback)


def value(server: ProtocolServer, name: str, **labels: str) -> float | None:
    return server.metrics.registry.get_sample_value(f"tidegate_{name}", labels)


def png(mask: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return buffer.getvalue()


async def test_a_right_and_a_wrong_answer_become_live_accuracy_by_class(protocol: ProtocolServer) -> None:
    ids = []
    for seed in (1, 2):
        answer = await protocol.http.post(f"{COLOURS}/classify?top_k=1", content=encoded(seed))
        ids.append(answer.headers["x-request-id"])
        best = answer.json()["predictions"][0]["classes"][0]["label"]
    wrong = "dark" if best != "dark" else "red"
    first = (await tell(protocol, COLOURS, {"request_id": ids[0], "label": 3})).json()
    assert (first["label"], first["model_version"], first["in_top_5"]) == ("blue", "1", True)
    second = (await tell(protocol, COLOURS, {"request_id": ids[1], "label": wrong})).json()
    assert (second["label"], second["predicted"], second["correct"]) == (wrong, best, False)
    by = {"model": "colours", "version": "1", "label": wrong}
    assert value(protocol, "feedback_labels_total", **by, outcome="incorrect") == 1
    assert value(protocol, "feedback_top_5_total", **by, outcome="hit") == 1
    assert value(protocol, "feedback_total", model="colours", outcome="joined") == 2
    assert value(protocol, "feedback_remembered", model="colours") == 2


async def test_pictures_of_one_request_are_told_apart_by_index(protocol: ProtocolServer) -> None:
    files = [("file", (f"{seed}.jpg", encoded(seed))) for seed in (4, 5, 6)]
    answer = await protocol.http.post(f"{COLOURS}/classify", files=files)
    request_id = answer.headers["x-request-id"]
    best = [one["classes"][0]["label"] for one in answer.json()["predictions"]]
    told = await tell(
        protocol, COLOURS, [{"request_id": request_id, "index": i, "label": label} for i, label in enumerate(best)]
    )
    assert [(one["status"], one["index"], one["correct"]) for one in told.json()["results"]] == [
        (200, 0, True),
        (200, 1, True),
        (200, 2, True),
    ]
    answer = await protocol.http.post(f"{COLOURS}/classify", files=files)
    refused = await tell(protocol, COLOURS, {"request_id": answer.headers["x-request-id"], "label": "red"})
    assert refused.status_code == 400
    assert "by index" in refused.json()["error"]


async def test_tensors_are_judged_row_by_row(protocol: ProtocolServer) -> None:
    served: Any = protocol.host.get("colours")
    images = [served.task.preprocess(served.task.sample_from_bytes(encoded(seed)))["image"] for seed in (1, 2)]
    inputs = [
        {"name": "image", "datatype": "UINT8", "shape": [2, 32, 32, 3], "data": np.stack(images).ravel().tolist()}
    ]
    answer = await protocol.http.post("/v2/models/colours/infer", json={"inputs": inputs})
    await asyncio.sleep(0)  # rows are remembered once the answer is on its way
    logits = next(one for one in answer.json()["outputs"] if one["name"] == "logits")
    best = np.reshape(logits["data"], logits["shape"]).argmax(axis=1).tolist()
    for index, class_id in enumerate(best):
        feedback = {"request_id": answer.headers["x-request-id"], "index": index, "label": class_id}
        told = await tell(protocol, COLOURS, feedback)
        assert told.json().get("correct") is True, told.text


async def test_feedback_counts_once(protocol: ProtocolServer) -> None:
    await ask(protocol, f"{COLOURS}/classify", encoded(1), "once")
    feedback = {"request_id": "once", "label": "red"}
    assert (await tell(protocol, COLOURS, feedback)).status_code == 200
    again = await tell(protocol, COLOURS, feedback)
    assert again.status_code == 409
    assert "counted before" in again.json()["error"]
    assert value(protocol, "feedback_total", model="colours", outcome="duplicate") == 1


async def test_feedback_that_was_refused_may_come_again(protocol: ProtocolServer) -> None:
    await ask(protocol, f"{COLOURS}/classify", encoded(1), "again")
    for label, told in (("purple", "no class 'purple'"), (99, "no class 99"), ({"a": 1}, "label")):
        refused = await tell(protocol, COLOURS, {"request_id": "again", "label": label})
        assert refused.status_code == 400
        assert told in refused.json()["error"]
    assert (await tell(protocol, COLOURS, {"request_id": "again", "label": "red"})).status_code == 200
    assert value(protocol, "feedback_total", model="colours", outcome="refused") == 3


async def test_a_replica_that_did_not_answer_counts_with_the_prediction_attached(protocol: ProtocolServer) -> None:
    refused = await tell(protocol, COLOURS, {"request_id": "elsewhere", "label": "red"})
    assert refused.status_code == 404
    assert "`prediction`" in refused.json()["error"]
    prediction = {"classes": [{"label": "blue", "class_id": 3, "score": 0.9}], "entropy": 0.1}
    feedback = {"request_id": "elsewhere", "label": "red", "prediction": prediction}
    assert "version" in (await tell(protocol, COLOURS, feedback)).json()["error"]
    assert (await tell(protocol, COLOURS, feedback | {"version": "9"})).status_code == 404
    counted = await tell(protocol, COLOURS, feedback | {"version": "1"})
    assert counted.json()["predicted"] == "blue"
    assert "in_top_5" not in counted.json()
    assert (await tell(protocol, COLOURS, feedback | {"version": "1"})).status_code == 409
    assert value(protocol, "feedback_total", model="colours", outcome="attached") == 1
    labels = {"model": "colours", "version": "1", "label": "red", "outcome": "incorrect"}
    assert value(protocol, "feedback_labels_total", **labels) == 1


async def test_each_of_a_list_is_answered_by_itself(protocol: ProtocolServer) -> None:
    await ask(protocol, f"{COLOURS}/classify", encoded(1), "known")
    told = await tell(
        protocol,
        COLOURS,
        [{"request_id": "known", "label": "red"}, {"request_id": "unknown", "label": "red"}, {"x": 1}],
    )
    assert told.status_code == 200
    results = told.json()["results"]
    assert [one["status"] for one in results] == [200, 404, 400]
    assert results[1]["request_id"] == "unknown"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "request_id"),
        (b"[]", "empty"),
        (b"[" + b",".join([b"{}"] * 1001) + b"]", "1001 feedbacks"),
        (b'{"request_id": "a"}', "takes no"),
        (b'{"request_id": "a", "rating": 1}', "takes no rating as feedback; send label"),
        (b'{"request_id": "a", "lable": "red"}', "lable"),
        (b"\xff", "feedback like"),
    ],
)
async def test_what_can_not_be_feedback_is_refused(protocol: ProtocolServer, body: bytes, told: str) -> None:
    await ask(protocol, f"{COLOURS}/classify", encoded(1), "a")
    answer = await protocol.http.post(f"{COLOURS}/feedback", content=body)
    assert answer.status_code in (400, 413)
    assert told.replace("takes no", "") in answer.json()["error"]


async def test_a_model_that_is_not_here_takes_no_feedback(protocol: ProtocolServer) -> None:
    answer = await tell(protocol, "/v1/models/nobody", {"request_id": "a", "label": "red"})
    assert answer.status_code == 404
    assert "nobody" not in protocol.scrape(), "a name that a caller made up is no label"
    assert (await protocol.http.get(f"{COLOURS}/feedback")).status_code == 405


async def test_calls_that_wait_to_be_judged_are_bounded(
    protocol: ProtocolServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_free, judge_all = threading.Event(), routes.judge_all

    def judge_later(claims: Any) -> Any:
        is_free.wait(10)
        return judge_all(claims)

    monkeypatch.setattr(routes, "MAX_WAITING", 2)
    monkeypatch.setattr(routes, "judge_all", judge_later)
    for request_id in "abc":
        await ask(protocol, f"{COLOURS}/classify", encoded(1), request_id)
    waiting = [asyncio.create_task(tell(protocol, COLOURS, {"request_id": one, "label": "red"})) for one in "ab"]
    await asyncio.sleep(0.05)
    refused = await tell(protocol, COLOURS, {"request_id": "c", "label": "red"})
    assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
    is_free.set()
    assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200, 200]
    assert (await tell(protocol, COLOURS, {"request_id": "c", "label": "red"})).status_code == 200, "it was not counted"


async def test_objects_are_found_missed_or_imagined(detecting: ProtocolServer) -> None:
    answer = await ask(detecting, f"{CELLS}/detect", encoded_patches(3), "d")
    found = answer.json()["predictions"][0]["detections"]
    truth = [{"label": one["label"], "box": one["box"]} for one in found[1:]]
    truth.append({"label": found[0]["class_id"], "box": [0, 0, 1, 1]})
    told = (await tell(detecting, CELLS, {"request_id": "d", "objects": truth})).json()
    assert (told["true_positive"], told["false_positive"], told["missed"]) == (len(found) - 1, 1, 1)
    by = {"model": "cells", "version": "1", "label": found[0]["label"]}
    assert value(detecting, "feedback_objects_total", **by, outcome="missed") == 1
    assert value(detecting, "feedback_objects_total", **by, outcome="false_positive") == 1


async def test_a_picture_without_objects_is_feedback_too(detecting: ProtocolServer) -> None:
    answer = await ask(detecting, f"{CELLS}/detect?overlay=true", encoded_patches(3), "o")
    assert answer.headers["content-type"] == "image/jpeg"
    told = (await tell(detecting, CELLS, {"request_id": "o", "objects": []})).json()
    assert told["false_positive"] > 0
    assert told["missed"] == 0


async def test_a_mask_is_compared_pixel_by_pixel(segmenting: ProtocolServer) -> None:
    payload = encoded_patches(3)
    answered = np.asarray(
        Image.open(io.BytesIO((await ask(segmenting, f"{PATCHES}/segment?format=png", payload, "s")).content))
    )
    truth = answered.copy()
    truth[:, :10] = 255
    truth[:, 10:20] = (truth[:, 10:20] + 1) % 3
    told = await tell(segmenting, PATCHES, {"request_id": "s", "mask": base64.b64encode(png(truth)).decode()})
    labels = segmenting.host.get("patches").task.labels  # type: ignore[attr-defined]
    counted = truth != 255
    for class_id, label in enumerate(labels):
        shared = np.count_nonzero((answered == class_id) & (truth == class_id))
        union = np.count_nonzero(((answered == class_id) | (truth == class_id)) & counted)
        by = {"model": "patches", "version": "1", "label": label}
        assert value(segmenting, "feedback_pixels_total", **by, outcome="intersection") == shared
        assert value(segmenting, "feedback_pixels_total", **by, outcome="union") == union
        assert told.json()["iou"][label] == pytest.approx(shared / union)


async def test_a_mask_may_come_as_the_file_of_a_form(segmenting: ProtocolServer) -> None:
    answer = await ask(segmenting, f"{PATCHES}/segment", encoded_patches(3), "f")
    prediction = answer.json()["predictions"][0]
    mask = np.zeros((prediction["height"], prediction["width"]), np.uint8)
    files = {"mask": ("mask.png", png(mask))}
    told = await segmenting.http.post(f"{PATCHES}/feedback", data={"request_id": "f", "index": "0"}, files=files)
    assert told.status_code == 200, told.text
    small = {"mask": ("mask.png", png(mask[1:]))}
    await ask(segmenting, f"{PATCHES}/segment", encoded_patches(3), "g")
    told = await segmenting.http.post(f"{PATCHES}/feedback", data={"request_id": "g"}, files=small)
    assert "80×59 pixels, the picture 80×60" in told.json()["error"]
    for data, files in (({"request_id": "g", "x": "1"}, small), ({}, small), ({"request_id": "g"}, {})):
        answer = await segmenting.http.post(f"{PATCHES}/feedback", data=data, files=files or {"a": (None, "b")})
        assert answer.status_code == 400


@pytest.mark.parametrize("format", ["rle", "png"])
async def test_an_attached_mask_is_judged_like_a_remembered_one(segmenting: ProtocolServer, format: str) -> None:
    answer = await ask(segmenting, f"{PATCHES}/segment", encoded_patches(3), "here")
    mask = base64.b64encode(png(np.ones((60, 80), np.uint8))).decode()
    here = (await tell(segmenting, PATCHES, {"request_id": "here", "mask": mask})).json()
    prediction = answer.json()["predictions"][0]
    if format == "png":
        drawn = await ask(segmenting, f"{PATCHES}/segment?format=png", encoded_patches(3), "drawn")
        prediction = {"png": base64.b64encode(drawn.content).decode()}
    feedback = {"request_id": "there", "version": "1", "mask": mask, "prediction": prediction}
    there = (await tell(segmenting, PATCHES, feedback)).json()
    assert there["iou"] == here["iou"]


async def test_labels_that_come_after_a_swap_judge_the_version_that_answered(
    package: ModelPackage, tmp_path: Path
) -> None:
    async with protocol_server(package.folder, tmp_path) as server:
        await ask(server, f"{COLOURS}/classify", encoded(1), "before")
        store = LocalStore(tmp_path / "store")
        published = store.publish(build_package(tmp_path / "next", Handmade(shift=1.0)).folder)
        store.set_alias("colours", "champion", published.version)
        await server.host.load("colours")
        await ask(server, f"{COLOURS}/classify", encoded(1), "after")
        feedback = [{"request_id": request_id, "label": "red"} for request_id in ("before", "after")]
        told = (await tell(server, COLOURS, feedback)).json()["results"]
        wrong = await tell(server, COLOURS, {"request_id": "before", "version": "2", "label": "red"})
    assert [one["model_version"] for one in told] == ["1", "2"]
    assert wrong.status_code == 409


async def test_without_a_memory_only_attached_predictions_count(package: ModelPackage, tmp_path: Path) -> None:
    async with protocol_server(package.folder, tmp_path, feedback_memory=0) as server:
        await ask(server, f"{COLOURS}/classify", encoded(1), "a")
        feedback = {"request_id": "a", "label": "red"}
        assert (await tell(server, COLOURS, feedback)).status_code == 404
        attached = feedback | {"version": "1", "prediction": {"classes": [{"class_id": 1}]}}
        assert (await tell(server, COLOURS, attached)).json()["correct"] is True
        assert value(server, "feedback_remembered", model="colours") == 0
