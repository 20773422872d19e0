"""The requests of the serving benchmarks, as bytes: built once by the clients' own code and then replayed by the load
generators."""

from __future__ import annotations

import io

import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from PIL import Image, ImageFilter

from benchmarks.load import Request
from benchmarks.processes import Server

GRPC_METHOD = "/inference.GRPCInferenceService/ModelInfer"
SCENE_SEED, NUM_DIGITS = 5, 6
GRAIN = 4.0
"""Standard deviation of a pixel of a scene, of 255."""


def tensor_over_http(server: Server, model: str, size: int) -> Request:
    """One uint8 [1, size, size, 3] picture in the binary tensor extension, all outputs binary."""
    wanted = triton_http.InferInput("image", [1, size, size, 3], "UINT8")
    wanted.set_data_from_numpy(random_image(size), binary_data=True)
    body, header_length = triton_http.InferenceServerClient.generate_request_body([wanted])
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(header_length)}
    return Request(server.url(f"/v2/models/{model}/infer"), body, headers)


def tensor_over_grpc(server: Server, model: str, size: int) -> Request:
    """The same picture as a serialized ModelInferRequest."""
    wanted = triton_grpc.InferInput("image", [1, size, size, 3], "UINT8")
    wanted.set_data_from_numpy(random_image(size))
    message = triton_grpc.service_pb2.ModelInferRequest(model_name=model, inputs=[wanted._get_tensor()])
    message.raw_input_contents.append(wanted._get_content())
    return Request(f"http://127.0.0.1:{server.grpc_port}{GRPC_METHOD}", message.SerializeToString())


def picture_over_http(server: Server, model: str, verb: str, payload: bytes) -> Request:
    """A JPEG as the raw body of the task's endpoint."""
    return Request(server.url(f"/v1/models/{model}/{verb}"), payload, {"Content-Type": "image/jpeg"})


def random_image(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (1, size, size, 3), np.uint8)


def photograph(width: int = 1280, height: int = 960) -> bytes:
    """A JPEG with the detail of a photograph (about 200 kB), not flat and not noise."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (height // 32, width // 32, 3), np.uint8))
    fine = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).filter(ImageFilter.GaussianBlur(2))
    picture = Image.blend(coarse.resize((width, height), Image.Resampling.BICUBIC), fine, 0.3)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def scene(width: int = 1280, height: int = 960) -> bytes:
    """A JPEG (about 200 kB) of six digits on a photograph, none of either seen in training; with the grain of a camera,
    since the photographs are smaller than this and would be too smooth."""
    from training.data.annotated_scene import Canvas
    from training.data.scene import draw_ground
    from training.data.scene_source import load_ingredients

    rng = np.random.default_rng(SCENE_SEED)
    ingredients = load_ingredients("test")
    canvas = Canvas(draw_ground(ingredients.photographs, height, width, rng))
    num_placed = 0
    while num_placed < NUM_DIGITS:
        scan = ingredients.scans[rng.integers(len(ingredients.scans))]
        num_placed += canvas.place(0, scan, rng)
    grain = rng.normal(0, GRAIN, (height, width, 1))
    noisy = np.clip(canvas.pixels() + grain, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noisy).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
