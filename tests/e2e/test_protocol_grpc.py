"""Unmodified gRPC clients against a real server process: tritonclient, synchronous and not, and grpc.health."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.utils import InferenceServerException, shared_memory

from tests.e2e.conftest import MAX_BODY_BYTES, TOKEN, RunningServer
from tests.handmade import encoded, picture

pytestmark = pytest.mark.e2e
IMAGES = np.stack([picture(seed, 32, 32) for seed in range(3)])


@pytest.fixture
def client(server: RunningServer) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.grpc) as made:
        yield made


def image_input(images: np.ndarray = IMAGES) -> triton.InferInput:
    return triton.InferInput("image", list(images.shape), "UINT8").set_data_from_numpy(images)


def encoded_input(*payloads: bytes) -> triton.InferInput:
    return triton.InferInput("encoded_image", [len(payloads)], "BYTES").set_data_from_numpy(np.array(payloads, object))


def test_health_and_descriptions(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("colours")
    assert not client.is_model_ready("colours", "9")
    assert client.get_server_metadata().name == "tidegate"
    metadata = client.get_model_metadata("colours")
    assert [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in metadata.inputs] == [
        ("image", "UINT8", [-1, 32, 32, 3]),
        ("encoded_image", "BYTES", [-1]),
    ]
    config = client.get_model_config("colours").config
    assert config.max_batch_size == 8
    assert config.parameters["variant"].string_value == "fp32"
    assert client.get_model_repository_index().models[0].state == "READY"


def test_tensors_and_classification(client: triton.InferenceServerClient) -> None:
    result = client.infer("colours", [image_input()], request_id="7")
    assert result.get_response().id == "7"
    assert result.as_numpy("embedding").shape == (3, 3)
    wanted = [triton.InferRequestedOutput("logits", class_count=1)]
    labels = client.infer("colours", [image_input()], outputs=wanted, compression_algorithm="gzip").as_numpy("logits")
    indexes = [int(row[0].split(b":")[1]) for row in labels]
    assert indexes == result.as_numpy("logits").argmax(axis=1).tolist()


def test_encoded_pictures(client: triton.InferenceServerClient) -> None:
    result = client.infer("colours", [encoded_input(encoded(1), encoded(2))], parameters={"top_k": 1})
    assert result.as_numpy("labels").shape == (2, 1)


def test_statistics_grow(client: triton.InferenceServerClient) -> None:
    before = client.get_inference_statistics("colours").model_stats[0].inference_count
    client.infer("colours", [image_input()])
    stats = client.get_inference_statistics().model_stats[0]
    assert stats.inference_count == before + 3
    assert stats.inference_stats.success.ns > 0


@pytest.mark.parametrize(
    ("ask", "status"),
    [
        (lambda client: client.infer("unknown", [image_input()]), "NOT_FOUND"),
        (lambda client: client.infer("colours", [image_input(IMAGES[:, :8])]), "INVALID_ARGUMENT"),
        (lambda client: client.infer("colours", [encoded_input(b"no picture")]), "INVALID_ARGUMENT"),
        (lambda client: client.infer("colours", [image_input()], parameters={"x": 1}), "INVALID_ARGUMENT"),
        (
            lambda client: client.infer("colours", [image_input(np.zeros((700, 32, 32, 3), np.uint8))]),
            "RESOURCE_EXHAUSTED",
        ),
        (lambda client: client.load_model("colours"), "PERMISSION_DENIED"),
        (lambda client: client.unload_model("colours"), "PERMISSION_DENIED"),
        (lambda client: client.register_system_shared_memory("r", "/r", 8), "PERMISSION_DENIED"),
        (lambda client: client.register_cuda_shared_memory("r", b"eA==", 0, 8), "UNIMPLEMENTED"),
        (lambda client: client.get_trace_settings(), "UNIMPLEMENTED"),
        (lambda client: client.get_model_config("unknown"), "NOT_FOUND"),
    ],
)
def test_errors_reach_the_client_as_its_own_exception(
    client: triton.InferenceServerClient, ask: Callable[[triton.InferenceServerClient], None], status: str
) -> None:
    with pytest.raises(InferenceServerException) as caught:
        ask(client)
    assert caught.value.status() == f"StatusCode.{status}"


def test_a_bomb_in_a_compressed_message_is_refused(client: triton.InferenceServerClient) -> None:
    bomb = np.zeros((4 * MAX_BODY_BYTES // IMAGES[0].nbytes, 32, 32, 3), np.uint8)
    with pytest.raises(InferenceServerException) as caught:
        client.infer("colours", [image_input(bomb)], compression_algorithm="gzip")
    assert caught.value.status() == "StatusCode.RESOURCE_EXHAUSTED"


def test_a_deadline_of_the_call_is_kept(client: triton.InferenceServerClient) -> None:
    large = encoded_input(encoded(1, "PNG", 2000, 2000)[:1_500_000])
    started_at = time.monotonic()
    with pytest.raises(InferenceServerException) as caught:
        client.infer("colours", [large], client_timeout=0.001)
    assert caught.value.status() == "StatusCode.DEADLINE_EXCEEDED"
    assert time.monotonic() - started_at < 20


def test_a_stream_answers_in_order_and_survives_an_error(client: triton.InferenceServerClient) -> None:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for number in range(12):
        name = "colours" if number != 5 else "unknown"
        client.async_stream_infer(name, [image_input()], request_id=str(number), enable_empty_final_response=True)
    seen = [answers.get(timeout=30) for _ in range(12)]
    client.stop_stream()
    assert [error is not None for _, error in seen] == [number == 5 for number in range(12)]
    good = [result.get_response() for result, error in seen if error is None]
    assert [response.id for response in good] == [str(number) for number in range(12) if number != 5]
    assert all(response.parameters["triton_final_response"].bool_param for response in good)


def test_shared_memory_registered_on_the_administration_port(
    client: triton.InferenceServerClient, server: RunningServer
) -> None:
    import tritonclient.http as triton_http

    admin, headers = triton_http.InferenceServerClient(server.admin), {"Authorization": f"Bearer {TOKEN}"}
    size = IMAGES.nbytes
    handle = shared_memory.create_shared_memory_region("pictures", "/tidegate-e2e-grpc", size + 60)
    try:
        shared_memory.set_shared_memory_region(handle, [IMAGES])
        admin.register_system_shared_memory("grpc-pictures", "/tidegate-e2e-grpc", size + 60, headers=headers)
        image = triton.InferInput("image", list(IMAGES.shape), "UINT8").set_shared_memory("grpc-pictures", size)
        logits = triton.InferRequestedOutput("logits")
        logits.set_shared_memory("grpc-pictures", 60, offset=size)
        client.infer("colours", [image], outputs=[logits])
        shared = shared_memory.get_contents_as_numpy(handle, np.float32, [3, 5], offset=size).copy()
        np.testing.assert_allclose(shared, client.infer("colours", [image_input()]).as_numpy("logits"), rtol=1e-6)
    finally:
        admin.unregister_system_shared_memory("grpc-pictures", headers=headers)
        admin.close()
        shared_memory.destroy_shared_memory_region(handle)


async def test_the_asynchronous_client(server: RunningServer) -> None:
    async with triton_aio.InferenceServerClient(server.grpc) as client:
        assert await client.is_model_ready("colours")
        assert (await client.infer("colours", [image_input()])).as_numpy("logits").shape == (3, 5)

        async def requests() -> Any:
            for number in range(3):
                yield {"model_name": "colours", "inputs": [image_input()], "request_id": str(number)}

        ids = [result.get_response().id async for result, error in client.stream_infer(requests()) if error is None]
        assert ids == ["0", "1", "2"]


def test_grpc_health(server: RunningServer) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "inference.GRPCInferenceService", "colours"):
            assert health.Check(health_pb2.HealthCheckRequest(service=service)).status == 1
        with pytest.raises(grpc.RpcError) as caught:
            health.Check(health_pb2.HealthCheckRequest(service="unknown"))
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
        watched = health.Watch(health_pb2.HealthCheckRequest())
        assert next(watched).status == 1
        watched.cancel()
