"""A segmenter and a detector in the real application, over real ports, asked by unmodified tritonclients."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from numpy.typing import NDArray
from PIL import Image
from tritonclient.utils import InferenceServerException

from registry.local_store import LocalStore
from registry.package import ModelPackage
from serving.app import App, build_app
from serving.config import ServerConfig
from serving.deadline import Deadline
from tests.handmade_segmentation import encoded_patches

PAYLOADS = [encoded_patches(seed) for seed in (3, 4, 5)]
Outputs = dict[str, NDArray[Any]]
WIRE = {
    "patches": ("segmentation", "class_shares", "class_confidences"),
    "cells": ("num_detections", "detection_boxes", "detection_scores", "detection_class_ids", "detection_labels"),
}
"""Outputs for encoded pictures, by model."""


@pytest.fixture
async def app(segmenter: ModelPackage, detector: ModelPackage, tmp_path: Path) -> AsyncIterator[App]:
    store = LocalStore(tmp_path / "store")
    for package in (segmenter, detector):
        published = store.publish(package.folder)
        store.set_alias(published.name, "champion", published.version)
    ports = dict.fromkeys(("http_port", "grpc_port", "metrics_port", "admin_port"), 0)
    made = build_app(store, ServerConfig(**ports, cache_dir=str(tmp_path / "cache"), runtime_threads=1))
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


def ask_http(app: App, model: str, params: dict[str, Any], binary: bool = True) -> Outputs:
    """Every output for encoded pictures of a request with all of them."""
    with closing(triton_http.InferenceServerClient(f"127.0.0.1:{app.ports.http}")) as client:
        pictures = triton_http.InferInput("encoded_image", [len(PAYLOADS)], "BYTES")
        pictures.set_data_from_numpy(np.array(PAYLOADS, object))
        advertised = {output["name"] for output in client.get_model_metadata(model)["outputs"]}
        assert advertised.issuperset(WIRE[model])
        wanted = [triton_http.InferRequestedOutput(name, binary_data=binary) for name in WIRE[model]]
        result = client.infer(model, [pictures], outputs=wanted, parameters=params)
        return {name: result.as_numpy(name) for name in WIRE[model]}


def ask_json(app: App, model: str, params: dict[str, Any]) -> Outputs:
    return ask_http(app, model, params, binary=False)


def ask_grpc(app: App, model: str, params: dict[str, Any]) -> Outputs:
    with closing(triton_grpc.InferenceServerClient(f"127.0.0.1:{app.ports.grpc}")) as client:
        pictures = triton_grpc.InferInput("encoded_image", [len(PAYLOADS)], "BYTES")
        pictures.set_data_from_numpy(np.array(PAYLOADS, object))
        result = client.infer(model, [pictures], parameters=params)
        return {name: result.as_numpy(name) for name in WIRE[model]}


Ask = Callable[[App, str, dict[str, Any]], Outputs]
EVERY_WAY = pytest.mark.parametrize("ask", [ask_http, ask_json, ask_grpc])
IN_BINARY = pytest.mark.parametrize("ask", [ask_http, ask_grpc])


async def predictions(app: App, path: str) -> list[Any]:
    """The same pictures over the task's own endpoint."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{app.ports.http}", trust_env=False) as client:
        files = [("file", (f"{i}.jpg", payload)) for i, payload in enumerate(PAYLOADS)]
        answered: list[Any] = (await client.post(path, files=files)).json()["predictions"]
        return answered


def without_confidence(prediction: Any) -> Any:
    """Which the graph sums in another order where the batch is of another size."""
    segments = [{name: told for name, told in one.items() if name != "confidence"} for one in prediction["segments"]]
    return prediction | {"segments": segments}


@EVERY_WAY
async def test_masks_as_tensors_are_those_of_the_own_endpoint(app: App, ask: Ask) -> None:
    outputs = await asyncio.to_thread(ask, app, "patches", {"format": "polygons"})
    expected = await predictions(app, "/v1/models/patches/segment?format=polygons")
    texts = [text if isinstance(text, str) else text.decode() for text in outputs["segmentation"]]
    assert [without_confidence(json.loads(text)) for text in texts] == [without_confidence(one) for one in expected]
    assert outputs["class_shares"].shape == outputs["class_confidences"].shape == (3, 3)
    np.testing.assert_allclose(outputs["class_shares"].sum(axis=1), 1, rtol=1e-6)
    for row, prediction in enumerate(expected):
        for segment in prediction["segments"]:
            assert outputs["class_shares"][row, segment["class_id"]] == pytest.approx(segment["area"])
            assert outputs["class_confidences"][row, segment["class_id"]] == pytest.approx(segment["confidence"])


@IN_BINARY
async def test_a_mask_as_png_is_an_element_of_bytes(app: App, ask: Ask) -> None:
    outputs = await asyncio.to_thread(ask, app, "patches", {"format": "png"})
    assert outputs["segmentation"].shape == (3,)
    for content, shares in zip(outputs["segmentation"], outputs["class_shares"], strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(content)))
        assert pixels.shape == (60, 80)
        np.testing.assert_allclose(np.bincount(pixels.ravel(), minlength=3) / pixels.size, shares, rtol=1e-6)


async def test_a_png_can_not_be_written_in_json(app: App) -> None:
    with pytest.raises(InferenceServerException, match="not text; ask for it in binary"):
        await asyncio.to_thread(ask_json, app, "patches", {"format": "png"})


@EVERY_WAY
async def test_boxes_as_tensors_are_padded_so_that_pictures_stack(app: App, ask: Ask) -> None:
    outputs = await asyncio.to_thread(ask, app, "cells", {"max_detections": 12})
    expected = await predictions(app, "/v1/models/cells/detect?max_detections=12")
    assert outputs["detection_boxes"].shape == (3, 12, 4)
    assert outputs["num_detections"].tolist() == [len(prediction["detections"]) for prediction in expected]
    assert len(set(outputs["num_detections"].tolist())) > 1
    labels = np.vectorize(lambda text: text if isinstance(text, str) else text.decode())(outputs["detection_labels"])
    for row, prediction in enumerate(expected):
        found = prediction["detections"]
        assert labels[row].tolist() == [one["label"] for one in found] + [""] * (12 - len(found))
        np.testing.assert_allclose(outputs["detection_boxes"][row, : len(found)], [one["box"] for one in found], 1e-6)
        assert outputs["detection_scores"][row, : len(found)] == pytest.approx([one["score"] for one in found])
        assert not outputs["detection_scores"][row, len(found) :].any()


@EVERY_WAY
@pytest.mark.parametrize(("model", "verb"), [("patches", "segment"), ("cells", "detect")])
async def test_tensors_have_no_place_for_a_drawing(app: App, ask: Ask, model: str, verb: str) -> None:
    with pytest.raises(InferenceServerException, match=f"no place among tensors.*/v1/models/{model}/{verb}"):
        await asyncio.to_thread(ask, app, model, {"overlay": True})


@pytest.mark.parametrize(("model", "verb"), [("patches", "segment"), ("cells", "detect")])
async def test_pictures_and_tensors_are_watched(app: App, model: str, verb: str) -> None:
    served = app.host.get(model)
    images = np.stack([served.task.preprocess(served.task.sample_from_bytes(one))["image"] for one in PAYLOADS])
    await served.infer({"image": images}, Deadline())
    await predictions(app, f"/v1/models/{model}/{verb}")
    async with asyncio.timeout(10):
        while served.drift.observed + served.drift.failed < 2 * len(PAYLOADS):  # noqa: ASYNC110 (nobody announces it)
            await asyncio.sleep(0.01)
    assert served.drift.failed == 0
    assert served.drift.bins.keys() == served.task.signal_specs().keys()
