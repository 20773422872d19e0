"""Object detection asked from outside: curl, plain HTTP and unmodified tritonclients against a real server process."""

from __future__ import annotations

import io
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_grpc_aio
import tritonclient.http as triton_http
import tritonclient.http.aio as triton_http_aio
from PIL import Image
from tritonclient.utils import InferenceServerException

from tests.e2e.boards import Board, boxes_of, picture_of
from tests.e2e.conftest import RunningServer, start_server, unharmed
from tests.handmade import encoded
from tests.handmade_suppression import SUPPRESSED, build_crowd
from tests.pictures import encode, exif

pytestmark = pytest.mark.e2e
FIRST: Board = {(0, 1): "light", (3, 0): "middling"}
SECOND: Board = {(0, 0): "middling", (2, 3): "light", (3, 3): "middling"}
SIZES = ((60, 80), (400, 300))
PAYLOADS = [encode(picture_of(board, *size), "PNG") for board, size in zip((FIRST, SECOND), SIZES, strict=True)]
BROKEN = (b"", b"no picture", PAYLOADS[0][:-40], encoded(1)[:400], bytes(100_000))
WIRE = ("num_detections", "detection_boxes", "detection_scores", "detection_class_ids", "detection_labels")
Found = set[tuple[str, tuple[float, ...]]]


def ask(server: RunningServer, payload: bytes, model: str = "cells", **params: Any) -> dict[str, Any]:
    """The one prediction about one picture."""
    answer = httpx.post(f"http://{server.http}/v1/models/{model}/detect", content=payload, params=params, timeout=60)
    assert answer.status_code == 200, answer.text
    (prediction,) = answer.json()["predictions"]
    found: dict[str, Any] = prediction
    return found


def objects_in(prediction: dict[str, Any]) -> Found:
    return {(one["label"], tuple(one["box"])) for one in prediction["detections"]}


def encoded_input(client: Any, *payloads: bytes) -> Any:
    made = client.InferInput("encoded_image", [len(payloads)], "BYTES")
    made.set_data_from_numpy(np.array(payloads, object))
    return made


def test_curl(objects: RunningServer, tmp_path: Path, require_tool: Callable[[str], str]) -> None:
    for name, payload in zip("ab", PAYLOADS, strict=True):
        (tmp_path / f"{name}.png").write_bytes(payload)

    def curl(*arguments: str) -> Any:
        command = [require_tool("curl"), "--silent", "--show-error", "--fail", "--max-time", "60", *arguments]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    url = f"http://{objects.http}/v1/models/cells/detect"
    one = curl("--data-binary", f"@{tmp_path}/a.png", f"{url}?max_detections=1")
    assert (one["model_name"], one["model_version"]) == ("cells", "1")
    assert objects_in(one["predictions"][0]) < boxes_of(FIRST, *SIZES[0])
    several = curl("-F", f"x=@{tmp_path}/a.png", "-F", f"x=@{tmp_path}/b.png", "-F", "score_threshold=0.5", url)
    for prediction, board, size in zip(several["predictions"], (FIRST, SECOND), SIZES, strict=True):
        assert (prediction["height"], prediction["width"]) == size
        assert objects_in(prediction) == boxes_of(board, *size)
        scores = [one["score"] for one in prediction["detections"]]
        assert scores == sorted(scores, reverse=True)


def test_options_are_those_of_one_request(objects: RunningServer) -> None:
    payload = encoded(7)
    usual = ask(objects, payload, "crowd")["detections"]
    assert len(usual) > 5
    middle = usual[len(usual) // 2]["score"]
    strict = ask(objects, payload, "crowd", score_threshold=middle)["detections"]
    assert strict == [one for one in usual if one["score"] > middle]
    assert ask(objects, payload, "crowd", max_detections=3)["detections"] == usual[:3]
    anything = ask(objects, payload, "crowd", score_threshold=0.01, suppression="none", max_detections=1000)
    assert len(anything["detections"]) > len(usual)
    apart = ask(objects, payload, "crowd", suppression="class_agnostic", iou_threshold=0.0)["detections"]
    assert 0 < len(apart) < len(usual)
    assert ask(objects, payload, "crowd")["detections"] == usual


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("score_threshold=nan", "score_threshold"),
        ("score_threshold=-0.1", "score_threshold"),
        ("score_threshold=0.001", "at least 0.01"),
        ("score_threshold=many", "score_threshold"),
        ("iou_threshold=1.5", "iou_threshold"),
        ("max_detections=0", "1 to 1000"),
        ("max_detections=1000000000", "1 to 1000"),
        ("max_detections=2.5", "max_detections"),
        ("suppression=some", "class_agnostic"),
        ("overlay=perhaps", "overlay"),
        ("format=png", "format"),
        ("top_k=3", "top_k"),
    ],
)
def test_what_can_not_be_asked_is_refused_with_the_limits(objects: RunningServer, query: str, told: str) -> None:
    answer = httpx.post(f"http://{objects.http}/v1/models/cells/detect?{query}", content=PAYLOADS[0], timeout=60)
    assert answer.status_code == 400
    assert told in answer.json()["error"]
    assert "score_threshold (0.01 to 1)" in answer.json()["error"]


@pytest.mark.parametrize("broken", BROKEN, ids=("empty", "text", "cut", "head", "zeros"))
@pytest.mark.parametrize("query", ["", "?overlay=true"])
def test_what_is_no_whole_picture_is_refused(objects: RunningServer, broken: bytes, query: str) -> None:
    answer = httpx.post(f"http://{objects.http}/v1/models/cells/detect{query}", content=broken, timeout=60)
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize(("headers", "query"), [({}, "?overlay=true"), ({"Accept": "image/jpeg"}, "")])
def test_the_picture_comes_back_with_its_boxes(objects: RunningServer, headers: dict[str, str], query: str) -> None:
    url = f"http://{objects.http}/v1/models/cells/detect{query}"
    answer = httpx.post(url, content=PAYLOADS[1], headers=headers, timeout=60)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    drawing = Image.open(io.BytesIO(answer.content))
    assert drawing.size == (SIZES[1][1], SIZES[1][0])
    changed = np.abs(np.asarray(drawing, int) - np.asarray(Image.open(io.BytesIO(PAYLOADS[1])), int)).max(axis=2) > 60
    assert changed[:100, :2].any(), "the object at the upper left has no box around it"
    assert not changed[:150, 150:].any(), "something is drawn where nothing was found"
    files = [("file", payload) for payload in PAYLOADS]
    assert httpx.post(url, files=files, headers=headers, timeout=60).status_code == 400


def test_boxes_are_in_pixels_of_the_upright_picture(objects: RunningServer) -> None:
    upright = picture_of(SECOND, 120, 240)
    turned = encode(upright.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif(6))
    prediction = ask(objects, turned, score_threshold=0.5)
    assert (prediction["height"], prediction["width"]) == (120, 240)
    assert objects_in(prediction) == boxes_of(SECOND, 120, 240)


def check_tensors(result: Any) -> None:
    """Both pictures, padded to four objects."""
    counts, boxes, scores, class_ids, labels = (result.as_numpy(name) for name in WIRE)
    assert counts.tolist() == [2, 3]
    assert boxes.shape == (2, 4, 4)
    for index, (board, size) in enumerate(zip((FIRST, SECOND), SIZES, strict=True)):
        count = counts[index]
        found = zip(labels[index, :count], boxes[index, :count].tolist(), strict=True)
        assert {(label.decode(), tuple(box)) for label, box in found} == boxes_of(board, *size)
        assert class_ids[index, :count].tolist() == [int(label == b"light") for label in labels[index, :count]]
        assert (scores[index, :count] > 0.5).all()
        assert not boxes[index, count:].any()
        assert not scores[index, count:].any()
        assert set(labels[index, count:]) == {b""}


OPTIONS = {"max_detections": 4, "score_threshold": 0.5}


def test_tritonclients_and_pictures_of_different_sizes(objects: RunningServer) -> None:
    with triton_http.InferenceServerClient(objects.http) as client:
        check_tensors(client.infer("cells", [encoded_input(triton_http, *PAYLOADS)], parameters=OPTIONS))
    with triton_grpc.InferenceServerClient(objects.grpc) as client:
        check_tensors(client.infer("cells", [encoded_input(triton_grpc, *PAYLOADS)], parameters=OPTIONS))
        with pytest.raises(InferenceServerException, match="1 to 1000") as caught:
            client.infer("cells", [encoded_input(triton_grpc, PAYLOADS[0])], parameters={"score_threshold": np.nan})
        assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"


async def test_asynchronous_tritonclients(objects: RunningServer) -> None:
    async with triton_http_aio.InferenceServerClient(objects.http) as client:
        check_tensors(await client.infer("cells", [encoded_input(triton_http, *PAYLOADS)], parameters=OPTIONS))
    async with triton_grpc_aio.InferenceServerClient(objects.grpc) as client:
        check_tensors(await client.infer("cells", [encoded_input(triton_grpc, *PAYLOADS)], parameters=OPTIONS))


def test_tensors_get_the_candidates_of_the_graph(objects: RunningServer) -> None:
    images = np.full((3, 32, 32, 3), 235, np.uint8)
    with triton_grpc.InferenceServerClient(objects.grpc) as client:
        image = triton_grpc.InferInput("image", list(images.shape), "UINT8").set_data_from_numpy(images)
        result = client.infer("cells", [image])
    assert result.as_numpy("boxes").shape == (3, 16, 4)
    np.testing.assert_allclose(result.as_numpy("scores")[..., 1], 1.0, atol=1e-3)


def test_what_a_detector_finds_is_watched(objects: RunningServer) -> None:
    ask(objects, PAYLOADS[0])
    wanted = {
        f'model="cells",signal="{signal}"' for signal in ("num_boxes", "score_histogram", "class_mix", "box_area")
    }
    for _ in range(1000):
        counted = httpx.get(f"http://{objects.metrics}/metrics", timeout=60).text
        if all(signal in counted for signal in wanted):
            return
        time.sleep(0.1)
    pytest.fail("the signals of a picture did not reach the metrics")


@pytest.fixture(scope="module")
def suppressing_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The detector of two variants, served by the one whose graph suppresses."""
    folder = tmp_path_factory.mktemp("suppressing")
    with start_server(folder, [build_crowd(folder / "crowd")], VARIANT=SUPPRESSED) as started:
        yield started


def test_a_graph_that_suppresses_by_itself_finds_the_same(
    objects: RunningServer, suppressing_server: RunningServer
) -> None:
    with unharmed(suppressing_server), triton_http.InferenceServerClient(suppressing_server.http) as client:
        outputs = {tensor["name"] for tensor in client.get_model_metadata("crowd")["outputs"]}
        assert {"kept_boxes", "kept_scores", "kept_class_ids", "num_kept", *WIRE} <= outputs
        num_found = 0
        for seed in range(12):
            payload = encoded(seed, height=40 + 7 * seed)
            for params in ({}, {"score_threshold": 0.4, "max_detections": 5}):
                outside = ask(objects, payload, "crowd", **params)["detections"]
                inside = ask(suppressing_server, payload, "crowd", **params)["detections"]
                assert [one["label"] for one in inside] == [one["label"] for one in outside]
                for kind in ("score", "box"):
                    expected = [one[kind] for one in outside]
                    np.testing.assert_allclose([one[kind] for one in inside], expected, rtol=1e-5, atol=1e-4)
                num_found += len(outside)
        assert num_found > 50


@pytest.mark.parametrize(
    ("query", "limit"),
    [
        ("score_threshold=0.04", "score_threshold must be at least 0.05"),
        ("iou_threshold=0.7", "iou_threshold must be at most 0.6"),
        ("max_detections=41", "max_detections must be at most 40"),
        ("suppression=soft", "suppression must be class_aware"),
    ],
)
def test_what_the_graph_has_dropped_can_not_be_had_back(
    suppressing_server: RunningServer, query: str, limit: str
) -> None:
    answer = httpx.post(
        f"http://{suppressing_server.http}/v1/models/crowd/detect?{query}", content=encoded(1), timeout=60
    )
    assert answer.status_code == 400
    assert limit in answer.json()["error"]
    assert "variant without that" in answer.json()["error"]
