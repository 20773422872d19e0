"""Segmentation asked from outside: curl, plain HTTP and unmodified tritonclients against a real server process."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_grpc_aio
import tritonclient.http as triton_http
import tritonclient.http.aio as triton_http_aio
from faster_coco_eval.core import mask as coco
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from tritonclient.utils import InferenceServerException

from tests.e2e.boards import LEVELS, Board, mask_of, picture_of
from tests.e2e.conftest import RunningServer
from tests.handmade import encoded
from tests.handmade_segmentation import encoded_patches
from tests.pictures import encode, exif

pytestmark = pytest.mark.e2e
FIRST: Board = {(0, 1): "light", (3, 0): "middling"}
SECOND: Board = {(0, 0): "middling", (1, 1): "middling", (2, 3): "light", (3, 3): "middling"}
SIZES = ((60, 80), (400, 300))
PAYLOADS = [encode(picture_of(board, *size), "PNG") for board, size in zip((FIRST, SECOND), SIZES, strict=True)]
BROKEN = (b"", b"no picture", PAYLOADS[0][:-40], encoded(1)[:400], bytes(100_000))
MASKS = [mask_of(board, *size) for board, size in zip((FIRST, SECOND), SIZES, strict=True)]
Mask = NDArray[np.uint8]


def segment(server: RunningServer, payload: bytes, accept: str = "*/*", **params: Any) -> httpx.Response:
    url = f"http://{server.http}/v1/models/patches/segment"
    answer = httpx.post(url, content=payload, params=params, headers={"Accept": accept}, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer


def mask_of_runs(prediction: dict[str, Any]) -> Mask:
    """The label of every pixel, by COCO's own decoder; 255 where no segment is."""
    mask = np.full((prediction["height"], prediction["width"]), 255, np.uint8)
    for part in prediction["segments"]:
        inside = coco.decode(part["rle"]).astype(bool)
        assert inside.mean() == pytest.approx(part["area"])
        assert part["label"] == list(LEVELS)[part["class_id"]]
        mask[inside] = part["class_id"]
    return mask


def mask_of_rings(prediction: dict[str, Any]) -> Mask:
    """The rings of each region filled by the even-odd rule, at four times the size: Pillow draws its edges too."""
    height, width = prediction["height"], prediction["width"]
    mask = np.full((height, width), 255, np.uint8)
    for part in prediction["segments"]:
        inside = np.zeros((height, width), bool)
        for ring in part["polygons"]:
            filled = Image.new("1", (4 * width, 4 * height))
            ImageDraw.Draw(filled).polygon([4 * coordinate for coordinate in ring], fill=1)
            inside ^= np.asarray(filled)[2::4, 2::4]
        mask[inside] = part["class_id"]
    return mask


def mask_of_png(content: bytes) -> Mask:
    picture = Image.open(io.BytesIO(content))
    assert picture.mode == "P"
    return np.asarray(picture)


def agree(found: Mask, true: Mask) -> bool:
    """Nearly everywhere: to the model's small input, the edges of a large picture are blurred."""
    return bool(found.shape == true.shape and (found == true).mean() > 0.99)


def test_curl(objects: RunningServer, tmp_path: Path, require_tool: Callable[[str], str]) -> None:
    for name, payload in zip("ab", PAYLOADS, strict=True):
        (tmp_path / f"{name}.png").write_bytes(payload)

    def curl(*arguments: str) -> bytes:
        command = [require_tool("curl"), "--silent", "--show-error", "--fail", "--max-time", "60", *arguments]
        return subprocess.run(command, check=True, capture_output=True).stdout

    url = f"http://{objects.http}/v1/models/patches/segment"
    several = json.loads(curl("-F", f"x=@{tmp_path}/a.png", "-F", f"x=@{tmp_path}/b.png", url))
    for prediction, mask in zip(several["predictions"], MASKS, strict=True):
        assert agree(mask_of_runs(prediction), mask)
    whole = curl("--data-binary", f"@{tmp_path}/b.png", "-H", "Accept: image/png", url)
    assert agree(mask_of_png(whole), MASKS[1])


@pytest.mark.parametrize(
    "payload",
    [*PAYLOADS, encoded_patches(5), encode(picture_of(SECOND, 33, 47), "WEBP")],
    ids=("small", "large", "noisy", "odd"),
)
def test_every_format_is_the_same_mask(objects: RunningServer, payload: bytes) -> None:
    (runs,) = segment(objects, payload).json()["predictions"]
    (rings,) = segment(objects, payload, format="polygons").json()["predictions"]
    whole = segment(objects, payload, format="png")
    assert whole.headers["content-type"] == "image/png"
    mask = mask_of_png(whole.content)
    height, width = np.asarray(Image.open(io.BytesIO(payload))).shape[:2]
    assert mask.shape == (height, width)
    np.testing.assert_array_equal(mask_of_runs(runs), mask)
    assert agree(mask_of_rings(rings), mask)
    assert segment(objects, payload, accept="image/png").content == whole.content
    # What is said twice is decided by the parameter.
    assert segment(objects, payload, accept="image/png", format="polygons").json()["predictions"] == [rings]


@pytest.mark.parametrize("how", [{"overlay": "true"}, {"accept": "image/jpeg"}])
def test_the_picture_comes_back_with_its_mask(objects: RunningServer, how: dict[str, str]) -> None:
    answer = segment(objects, PAYLOADS[1], **how)
    assert answer.headers["content-type"] == "image/jpeg"
    drawing = Image.open(io.BytesIO(answer.content))
    assert drawing.size == (300, 400)
    colourful = np.ptp(np.asarray(drawing, int), axis=2) > 40
    assert colourful[MASKS[1] != 0].mean() > 0.9
    assert colourful[MASKS[1] == 0].mean() < 0.1


@pytest.mark.parametrize(
    ("query", "told"),
    [("format=svg", "svg"), ("format=", "format"), ("overlay=perhaps", "overlay"), ("top_k=3", "top_k")],
)
def test_what_can_not_be_asked_is_refused_with_what_can(objects: RunningServer, query: str, told: str) -> None:
    answer = httpx.post(f"http://{objects.http}/v1/models/patches/segment?{query}", content=PAYLOADS[0], timeout=60)
    assert answer.status_code == 400
    assert told in answer.json()["error"]
    assert "rle, polygons or png" in answer.json()["error"]


@pytest.mark.parametrize("broken", BROKEN, ids=("empty", "text", "cut", "head", "zeros"))
@pytest.mark.parametrize("query", ["", "?overlay=true", "?format=png"])
def test_what_is_no_whole_picture_is_refused(objects: RunningServer, broken: bytes, query: str) -> None:
    answer = httpx.post(f"http://{objects.http}/v1/models/patches/segment{query}", content=broken, timeout=60)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/json")


def test_a_picture_answers_one_picture_and_a_verb_its_own_model(objects: RunningServer) -> None:
    files = [("file", payload) for payload in PAYLOADS]
    url = f"http://{objects.http}/v1/models/patches"
    answer = httpx.post(f"{url}/segment", files=files, headers={"Accept": "image/png"}, timeout=60)
    assert (answer.status_code, "2 were sent" in answer.json()["error"]) == (400, True)
    answer = httpx.post(f"{url}/detect", content=PAYLOADS[0], timeout=60)
    assert (answer.status_code, "/v1/models/patches/segment" in answer.json()["error"]) == (404, True)


def test_masks_are_in_pixels_of_the_upright_picture(objects: RunningServer) -> None:
    upright = picture_of(SECOND, 120, 240)
    turned = encode(upright.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif(6))
    mask = mask_of_png(segment(objects, turned, format="png").content)
    assert agree(mask, mask_of(SECOND, 120, 240))


def encoded_input(client: Any, *payloads: bytes) -> Any:
    made = client.InferInput("encoded_image", [len(payloads)], "BYTES")
    made.set_data_from_numpy(np.array(payloads, object))
    return made


def check_tensors(runs: Any, whole: Any) -> None:
    """Both pictures, as run lengths and as PNG."""
    for result in (runs, whole):
        shares, confidences = result.as_numpy("class_shares"), result.as_numpy("class_confidences")
        assert shares.shape == confidences.shape == (2, 3)
        np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-6)
        np.testing.assert_allclose(shares[0], [14 / 16, 1 / 16, 1 / 16], rtol=1e-6)
    for index, mask in enumerate(MASKS):
        found = mask_of_runs(json.loads(runs.as_numpy("segmentation")[index]))
        assert agree(found, mask)
        np.testing.assert_array_equal(mask_of_png(whole.as_numpy("segmentation")[index]), found)


def test_tritonclients_and_pictures_of_different_sizes(objects: RunningServer) -> None:
    for module, address in ((triton_http, objects.http), (triton_grpc, objects.grpc)):
        pictures = encoded_input(module, *PAYLOADS)
        with module.InferenceServerClient(address) as client:
            runs = client.infer("patches", [pictures])
            check_tensors(runs, client.infer("patches", [pictures], parameters={"format": "png"}))
            for params, told in (({"format": "svg"}, "polygons"), ({"overlay": True}, "segment\\?overlay=true")):
                with pytest.raises(InferenceServerException, match=told):
                    client.infer("patches", [pictures], parameters=params)


async def test_asynchronous_tritonclients(objects: RunningServer) -> None:
    for module, aio, address in (
        (triton_http, triton_http_aio, objects.http),
        (triton_grpc, triton_grpc_aio, objects.grpc),
    ):
        pictures = encoded_input(module, *PAYLOADS)
        async with aio.InferenceServerClient(address) as client:
            runs = await client.infer("patches", [pictures])
            check_tensors(runs, await client.infer("patches", [pictures], parameters={"format": "png"}))


def test_tensors_get_the_mask_of_the_graph(objects: RunningServer) -> None:
    images = np.stack([np.asarray(picture_of(board, 32, 32)) for board in (FIRST, SECOND)])
    with triton_grpc.InferenceServerClient(objects.grpc) as client:
        image = triton_grpc.InferInput("image", list(images.shape), "UINT8").set_data_from_numpy(images)
        mask = client.infer("patches", [image]).as_numpy("mask")
    np.testing.assert_array_equal(mask, [mask_of(board, 32, 32) for board in (FIRST, SECOND)])
