from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from registry.package import ModelPackage
from tests.handmade import encoded
from tests.handmade_segmentation import encoded_patches
from tests.serving.protocol_server import ProtocolServer, protocol_server
from tests.serving.wire import (
    CLASSIFY,
)

SEGMENT, DETECT = "/v1/models/patches/segment", "/v1/models/cells/detect"
PNG_ASKED, JPEG_ASKED = {"Accept": "image/png"}, {"Accept": "image/jpeg"}


@pytest.fixture
async def segmenting(segmenter: ModelPackage, tmp_path: Path) -> AsyncIterator[ProtocolServer]:
    async with protocol_server(segmenter.folder, tmp_path / "segmenting") as made:
        yield made


@pytest.fixture
async def detecting(detector: ModelPackage, tmp_path: Path) -> AsyncIterator[ProtocolServer]:
    async with protocol_server(detector.folder, tmp_path / "detecting") as made:
        yield made


async def test_classify_answers_one_prediction_per_picture_in_order(protocol: ProtocolServer) -> None:
    one = (await protocol.http.post(CLASSIFY, content=encoded(3), headers={"Content-Type": "image/jpeg"})).json()
    files = [("file", (f"{seed}.jpg", encoded(seed))) for seed in (4, 3, 5)]
    several = (await protocol.http.post(CLASSIFY, files=files, data={"top_k": "1"})).json()
    assert (one["model_name"], one["model_version"]) == ("colours", "1")
    assert len(one["predictions"][0]["classes"]) == 5
    assert several["predictions"][1]["classes"] == one["predictions"][0]["classes"][:1]
    assert len(several["predictions"]) == 3


@pytest.mark.parametrize(
    ("query", "told"), [("top_k=0", "top_k"), ("topk=1", "topk"), ("top_k=x", "top_k"), ("=&%", "query")]
)
async def test_options_that_are_not_there_are_refused(protocol: ProtocolServer, query: str, told: str) -> None:
    answer = await protocol.http.post(f"{CLASSIFY}?{query}", content=encoded(1))
    assert answer.status_code == 400
    assert told in answer.json()["error"]


@pytest.mark.parametrize("payload", [b"", b"not a picture", encoded(1)[:200], b"\xff\xd8\xff\xe0" + bytes(50)])
async def test_files_that_are_no_pictures_are_bad_input(protocol: ProtocolServer, payload: bytes) -> None:
    answer = await protocol.http.post(CLASSIFY, content=payload)
    assert answer.status_code == 400
    assert answer.json()["error"]


async def test_drift_is_reported(protocol: ProtocolServer) -> None:
    report = (await protocol.http.get("/v1/models/colours/drift")).json()
    assert report["status"] == "collecting"


async def test_the_description_covers_every_ready_model_and_the_page_loads_nothing(protocol: ProtocolServer) -> None:
    described = (await protocol.http.get("/openapi.json")).json()
    operation = described["paths"][CLASSIFY]["post"]
    assert operation["parameters"][0]["name"] == "top_k"
    assert "ClassificationPrediction" in described["components"]["schemas"]
    text = json.dumps(described)
    for reference in {part.split('"')[0] for part in text.split('"$ref": "')[1:]}:
        assert reference.rpartition("/")[2] in described["components"]["schemas"]
    page = (await protocol.http.get("/docs")).text
    assert "openapi.json" in page
    assert "http://" not in page
    assert "https://" not in page


def opened(answer: httpx.Response) -> Image.Image:
    """The picture of an answer, which must be what its content type says."""
    assert answer.status_code == 200, answer.text
    picture = Image.open(io.BytesIO(answer.content))
    assert answer.headers["content-type"] == f"image/{str(picture.format).lower()}"
    return picture


async def test_a_mask_is_answered_as_png_by_parameter_or_accept_header(segmenting: ProtocolServer) -> None:
    payload = encoded_patches(3)
    by_header = await segmenting.http.post(SEGMENT, content=payload, headers=PNG_ASKED)
    by_parameter = await segmenting.http.post(f"{SEGMENT}?format=png", content=payload)
    assert by_header.content == by_parameter.content
    pixels = np.asarray(opened(by_header))
    answered = (await segmenting.http.post(SEGMENT, content=payload)).json()
    [prediction] = answered["predictions"]
    assert pixels.shape == (prediction["height"], prediction["width"]) == (60, 80)
    for segment in prediction["segments"]:
        assert segment["area"] == pytest.approx((pixels == segment["class_id"]).mean())


async def test_a_drawing_is_the_picture_that_was_sent(segmenting: ProtocolServer, detecting: ProtocolServer) -> None:
    payload = encoded_patches(3)
    for server, path in ((segmenting, SEGMENT), (detecting, DETECT)):
        by_header = await server.http.post(path, content=payload, headers=JPEG_ASKED)
        by_parameter = await server.http.post(f"{path}?overlay=true", content=payload)
        assert by_header.content == by_parameter.content
        assert opened(by_header).size == (80, 60)
        assert by_header.content != payload


async def test_what_the_query_says_goes_before_the_accept_header(segmenting: ProtocolServer) -> None:
    payload = encoded_patches(3)
    as_json = await segmenting.http.post(f"{SEGMENT}?format=polygons", content=payload, headers=PNG_ASKED)
    assert "polygons" in as_json.json()["predictions"][0]["segments"][0]
    as_json = await segmenting.http.post(f"{SEGMENT}?overlay=false", content=payload, headers=JPEG_ASKED)
    assert "rle" in as_json.json()["predictions"][0]["segments"][0]


@pytest.mark.parametrize("accept", ["text/csv", "*/*", "application/json, image/png", "image/tiff;q=1"])
async def test_json_is_what_there_is_for_everybody_else(segmenting: ProtocolServer, accept: str) -> None:
    answer = await segmenting.http.post(SEGMENT, content=encoded_patches(3), headers={"Accept": accept})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["predictions"][0]["segments"]


async def test_a_picture_of_a_classification_is_not_offered(protocol: ProtocolServer) -> None:
    answer = await protocol.http.post(CLASSIFY, content=encoded(3), headers=PNG_ASKED)
    assert answer.json()["predictions"][0]["classes"]


async def test_one_answer_holds_one_picture(segmenting: ProtocolServer) -> None:
    files = [("file", (f"{seed}.jpg", encoded_patches(seed))) for seed in (4, 5)]
    answer = await segmenting.http.post(f"{SEGMENT}?overlay=true", files=files)
    assert answer.status_code == 400
    assert "one picture" in answer.json()["error"]
    opened(await segmenting.http.post(SEGMENT, files=files[:1], data={"format": "png"}))
    assert len((await segmenting.http.post(SEGMENT, files=files)).json()["predictions"]) == 2


async def test_what_can_not_be_drawn_on_is_bad_input(segmenting: ProtocolServer) -> None:
    answer = await segmenting.http.post(f"{SEGMENT}?overlay=true", content=b"not a picture")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json"


async def test_a_drawing_counts_as_a_request_with_all_its_stages(segmenting: ProtocolServer) -> None:
    await segmenting.http.post(f"{SEGMENT}?overlay=true", content=encoded_patches(3))
    seen = segmenting.host.get("patches").statistics
    assert (seen.decode.count, seen.queue.count, seen.encode.count, seen.success.count) == (1, 1, 1, 1)


async def test_thresholds_of_a_request_filter_its_boxes(detecting: ProtocolServer) -> None:
    payload = encoded_patches(3)
    found = (await detecting.http.post(DETECT, content=payload)).json()["predictions"][0]["detections"]
    strict = await detecting.http.post(f"{DETECT}?score_threshold=0.93", content=payload)
    few = await detecting.http.post(f"{DETECT}?max_detections=2", content=payload)
    assert strict.json()["predictions"][0]["detections"] == [one for one in found if one["score"] >= 0.93]
    assert few.json()["predictions"][0]["detections"] == found[:2]


async def test_the_description_says_which_pictures_may_come(
    segmenting: ProtocolServer, detecting: ProtocolServer
) -> None:
    for server, path, kinds in (
        (segmenting, SEGMENT, {"application/json", "image/png", "image/jpeg"}),
        (detecting, DETECT, {"application/json", "image/jpeg"}),
    ):
        described = (await server.http.get("/openapi.json")).json()
        assert described["paths"][path]["post"]["responses"]["200"]["content"].keys() == kinds
