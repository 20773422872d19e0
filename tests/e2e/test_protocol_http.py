"""Unmodified HTTP clients against a real server process: tritonclient, synchronous and asynchronous, and curl."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException, shared_memory

from tests.e2e.conftest import TOKEN, RunningServer
from tests.handmade import encoded, picture

pytestmark = pytest.mark.e2e
ADMIN = {"Authorization": f"Bearer {TOKEN}"}
IMAGES = np.stack([picture(seed, 32, 32) for seed in range(3)])


@pytest.fixture
def client(server: RunningServer) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.http) as made:
        yield made


@pytest.fixture
def admin(server: RunningServer) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.admin) as made:
        yield made


def image_input(images: np.ndarray = IMAGES, *, binary: bool = True) -> triton.InferInput:
    made = triton.InferInput("image", list(images.shape), "UINT8")
    made.set_data_from_numpy(images, binary_data=binary)
    return made


def encoded_input(*payloads: bytes) -> triton.InferInput:
    array = np.array(payloads, object)
    made = triton.InferInput("encoded_image", [len(payloads)], "BYTES")
    made.set_data_from_numpy(array)
    return made


def test_health_and_descriptions(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("colours")
    assert client.is_model_ready("colours", "1")
    assert not client.is_model_ready("unknown")
    assert client.get_server_metadata()["name"] == "tidegate"
    assert [tensor["name"] for tensor in client.get_model_metadata("colours")["inputs"]] == ["image", "encoded_image"]
    assert client.get_model_config("colours")["max_batch_size"] == 8
    assert client.get_model_repository_index()[0]["state"] == "READY"


@pytest.mark.parametrize("algorithm", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_tensors_binary_and_json_compressed_and_not(
    client: triton.InferenceServerClient, algorithm: str | None, binary: bool
) -> None:
    outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("logits", "embedding")]
    images = np.repeat(IMAGES, 20, axis=0)
    result = client.infer(
        "colours",
        [image_input(images, binary=binary)],
        outputs=outputs,
        request_id="7",
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )
    plain = client.infer("colours", [image_input(images)])
    assert result.get_response()["id"] == "7"
    for name in ("logits", "embedding"):
        np.testing.assert_allclose(result.as_numpy(name), plain.as_numpy(name), rtol=1e-6)
    assert result.as_numpy("logits").shape == (60, 5)


def test_encoded_pictures_and_their_parameters(client: triton.InferenceServerClient) -> None:
    result = client.infer(
        "colours", [encoded_input(encoded(1), encoded(2, "PNG"))], parameters={"top_k": 2}, timeout=10_000_000
    )
    assert result.as_numpy("labels").shape == (2, 2)
    assert result.as_numpy("scores").dtype == np.float32
    assert result.as_numpy("class_ids").dtype == np.int64


def test_classification(client: triton.InferenceServerClient) -> None:
    wanted = [triton.InferRequestedOutput("logits", class_count=2)]
    labels = client.infer("colours", [image_input()], outputs=wanted).as_numpy("logits")
    logits = client.infer("colours", [image_input()]).as_numpy("logits")
    assert labels.shape == (3, 2)
    assert [int(row[0].split(b":")[1]) for row in labels] == logits.argmax(axis=1).tolist()


def test_statistics_grow(client: triton.InferenceServerClient) -> None:
    before = client.get_inference_statistics("colours")["model_stats"][0]["inference_count"]
    client.infer("colours", [image_input()])
    assert client.get_inference_statistics()["model_stats"][0]["inference_count"] == before + 3


def test_several_at_once(client: triton.InferenceServerClient, server: RunningServer) -> None:
    with triton.InferenceServerClient(server.http, concurrency=8) as several:
        waiting = [several.async_infer("colours", [image_input(IMAGES[i % 3][None])]) for i in range(40)]
        results = [one.get_result().as_numpy("logits") for one in waiting]
    expected = client.infer("colours", [image_input()]).as_numpy("logits")
    for index, logits in enumerate(results):
        np.testing.assert_allclose(logits[0], expected[index % 3], rtol=1e-5)


@pytest.mark.parametrize(
    ("ask", "status"),
    [
        (lambda client: client.infer("unknown", [image_input()]), "404"),
        (lambda client: client.infer("colours", [image_input(IMAGES[:, :8])]), "400"),
        (lambda client: client.infer("colours", [encoded_input(b"no picture")]), "400"),
        (lambda client: client.infer("colours", [image_input(np.repeat(IMAGES, 300, axis=0))]), "413"),
        (lambda client: client.load_model("colours"), "403"),
        (lambda client: client.register_system_shared_memory("r", "/r", 8), "403"),
        (lambda client: client.register_cuda_shared_memory("r", b"x", 0, 8), "501"),
        (lambda client: client.get_model_metadata("colours", "9"), "404"),
        (lambda client: client.get_log_settings(), "501"),
    ],
)
def test_errors_reach_the_client_as_its_own_exception(
    client: triton.InferenceServerClient, ask: Callable[[triton.InferenceServerClient], None], status: str
) -> None:
    with pytest.raises(InferenceServerException) as caught:
        ask(client)
    assert caught.value.status() == status
    assert caught.value.message()


def test_the_repository_is_managed_on_the_administration_port(
    client: triton.InferenceServerClient, admin: triton.InferenceServerClient
) -> None:
    with pytest.raises(InferenceServerException) as caught:
        admin.unload_model("colours")
    assert caught.value.status() == "401"
    admin.unload_model("colours", headers=ADMIN)
    try:
        assert not client.is_model_ready("colours")
        assert admin.get_model_repository_index(headers=ADMIN)[0]["state"] == "UNAVAILABLE"
    finally:
        admin.load_model("colours", headers=ADMIN)
    assert client.is_model_ready("colours")


def test_shared_memory(client: triton.InferenceServerClient, admin: triton.InferenceServerClient) -> None:
    size = IMAGES.nbytes
    handle = shared_memory.create_shared_memory_region("pictures", "/tidegate-e2e-http", size + 60)
    try:
        shared_memory.set_shared_memory_region(handle, [IMAGES])
        admin.register_system_shared_memory("pictures", "/tidegate-e2e-http", size + 60, headers=ADMIN)
        assert admin.get_system_shared_memory_status(headers=ADMIN)[0]["name"] == "pictures"
        image = triton.InferInput("image", list(IMAGES.shape), "UINT8").set_shared_memory("pictures", size)
        logits = triton.InferRequestedOutput("logits")
        logits.set_shared_memory("pictures", 60, offset=size)
        result = client.infer("colours", [image], outputs=[logits])
        assert result.get_output("logits")["parameters"]["shared_memory_byte_size"] == 60
        shared = shared_memory.get_contents_as_numpy(handle, np.float32, [3, 5], offset=size).copy()
        np.testing.assert_allclose(shared, client.infer("colours", [image_input()]).as_numpy("logits"), rtol=1e-6)
    finally:
        admin.unregister_system_shared_memory("pictures", headers=ADMIN)
        shared_memory.destroy_shared_memory_region(handle)


async def test_the_asynchronous_client(server: RunningServer) -> None:
    async with triton_aio.InferenceServerClient(server.http) as client:
        assert await client.is_server_ready()
        assert (await client.get_model_metadata("colours"))["versions"] == ["1"]
        many = np.repeat(IMAGES, 40, axis=0)
        result = await client.infer("colours", [image_input(many)], request_compression_algorithm="gzip")
        assert result.as_numpy("logits").shape == (120, 5)
        with pytest.raises(InferenceServerException, match="unknown"):
            await client.infer("unknown", [image_input()])


def test_curl(server: RunningServer, tmp_path: Path, require_tool: Callable[[str], str]) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(1))
    (tmp_path / "b.png").write_bytes(encoded(2, "PNG"))

    def curl(*arguments: str) -> bytes:
        command = [require_tool("curl"), "--silent", "--show-error", "--max-time", "60", *arguments]
        return subprocess.run(command, check=True, capture_output=True).stdout

    classify = f"http://{server.http}/v1/models/colours/classify"
    one = json.loads(curl("--data-binary", f"@{tmp_path}/a.jpg", "-H", "Content-Type: image/jpeg", classify))
    several = json.loads(curl("-F", f"file=@{tmp_path}/a.jpg", "-F", f"file=@{tmp_path}/b.png", f"{classify}?top_k=1"))
    assert several["predictions"][0]["classes"] == one["predictions"][0]["classes"][:1]
    assert len(several["predictions"]) == 2

    raw = ["--data-binary", f"@{tmp_path}/a.jpg", "-H", "Inference-Header-Content-Length: 0"]
    answer = curl(*raw, f"http://{server.http}/v2/models/colours/infer")
    assert b'"labels"' in answer

    (tmp_path / "large").write_bytes(bytes(20_000_000))
    for transfer in ([], ["-H", "Transfer-Encoding: chunked"]):
        told = curl("--data-binary", f"@{tmp_path}/large", *transfer, "-w", "%{http_code}", classify)
        assert told.endswith(b"413")
        assert b'{"error":' in told
