from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from registry.package import ModelPackage
from serving.access.access import Access
from serving.access.counts import AccessCounts
from serving.admin_routes import build_admin
from serving.config import ServerConfig
from tests.serving.protocol_server import TOKEN, ProtocolServer, client, protocol_server
from tests.serving.wire import IMAGES, INFER, SIZE

CALLS = [
    ("GET", "/v2"),
    ("POST", "/v2/repository/models/colours/unload"),
    ("GET", "/v2/systemsharedmemory/status"),
    ("POST", "/v1/models/colours/drift/reset"),
    ("GET", "/nowhere"),
]


@pytest.fixture
async def sharing(package: ModelPackage, tmp_path: Path) -> AsyncIterator[ProtocolServer]:
    """A server with shared memory turned on."""
    async with protocol_server(package.folder, tmp_path, shared_memory=True) as made:
        yield made


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    made = SharedMemory(create=True, size=2 * IMAGES.nbytes)
    try:
        yield made
    finally:
        made.close()
        made.unlink()


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN} "]
)
async def test_nobody_gets_in_without_the_token(
    protocol: ProtocolServer, method: str, path: str, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    admin: Any = protocol.admin_http._transport
    async with httpx.AsyncClient(transport=admin, base_url="http://server") as stranger:
        answer = await stranger.request(method, path, headers=headers)
    assert answer.status_code == 401
    assert "token" in answer.json()["error"]
    assert (await protocol.http.get("/v2/models/colours/ready")).status_code == 200


async def test_without_a_configured_token_nobody_gets_in_at_all(protocol: ProtocolServer) -> None:
    closed = build_admin(protocol.host, ServerConfig(), protocol.regions, Access("", AccessCounts()))
    for header in ("Bearer ", "Bearer"):
        async with client(closed, {"Authorization": header}) as stranger:
            answer = await stranger.get("/v2")
        assert answer.status_code == 401
        assert "TIDEGATE_ADMIN_TOKEN" in answer.json()["error"]


async def test_models_are_unloaded_and_loaded(protocol: ProtocolServer) -> None:
    assert (await protocol.admin_http.post("/v2/repository/models/colours/unload")).status_code == 200
    assert (await protocol.http.get("/v2/models/colours/ready")).status_code == 503
    [line] = (await protocol.admin_http.post("/v2/repository/index")).json()
    assert (line["name"], line["state"], line["reason"]) == ("colours", "UNAVAILABLE", "unloaded")
    assert (await protocol.admin_http.post("/v2/repository/models/colours/load", json={})).status_code == 200
    assert (await protocol.http.get("/v2/models/colours/ready")).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v2/repository/models/unknown/load", {}, 404),
        ("/v2/repository/models/unknown/unload", {}, 404),
        ("/v2/repository/models/a%20b/load", {}, 400),
        ("/v2/repository/models/colours/load", {"parameters": {"config": "{}"}}, 501),
        ("/v2/repository/models/colours/load", [], 400),
        ("/v2/systemsharedmemory/region/r/register", {"key": "/x", "offset": 0, "byte_size": 1}, 501),
        ("/v2/cudasharedmemory/region/r/register", {}, 501),
        ("/nowhere", {}, 404),
    ],
)
async def test_what_can_not_be_done_is_said(protocol: ProtocolServer, path: str, body: Any, status: int) -> None:
    answer = await protocol.admin_http.post(path, json=body)
    assert answer.status_code == status
    assert answer.json()["error"]


async def test_the_drift_window_is_forgotten(protocol: ProtocolServer) -> None:
    model = protocol.host.get("colours")
    task = model.task
    sample = task.sample_from_tensor(IMAGES[0])
    tensors = task.preprocess(sample)
    outputs = {name: array[0] for name, array in model.runtime.run({"image": IMAGES}).items()}
    prediction = task.decode_output(outputs, sample, task.parse_params({}))
    model.monitor.observe(task.signals(sample, tensors, outputs, prediction))
    assert (await protocol.http.get("/v1/models/colours/drift")).json()["num_images"] == 1
    assert (await protocol.admin_http.post("/v1/models/colours/drift/reset")).status_code == 200
    assert (await protocol.http.get("/v1/models/colours/drift")).json()["num_images"] == 0


async def test_tensors_travel_through_shared_memory(sharing: ProtocolServer, memory: SharedMemory) -> None:
    """Registered on the administration port, used on the prediction port."""
    memory.buf[: IMAGES.nbytes] = IMAGES.tobytes()
    facts = {"key": f"/{memory.name}", "offset": 0, "byte_size": memory.size}
    register = "/v2/systemsharedmemory/region/pictures/register"
    assert (await sharing.admin_http.post(register, json=facts)).status_code == 200
    assert (await sharing.admin_http.get("/v2/systemsharedmemory/status")).json() == [{"name": "pictures"} | facts]

    where = {"shared_memory_region": "pictures", "shared_memory_byte_size": IMAGES.nbytes}
    image = {"name": "image", "datatype": "UINT8", "shape": [1, SIZE, SIZE, 3], "parameters": where}
    there = {"shared_memory_region": "pictures", "shared_memory_offset": IMAGES.nbytes, "shared_memory_byte_size": 20}
    asked = {"inputs": [image], "outputs": [{"name": "logits", "parameters": there}]}
    answer = await sharing.http.post(INFER, json=asked)
    assert answer.json()["outputs"][0]["parameters"] == there
    logits = np.frombuffer(bytes(memory.buf[IMAGES.nbytes : IMAGES.nbytes + 20]), np.float32)
    plain = (await sharing.http.post(INFER, json={"inputs": [image], "outputs": [{"name": "logits"}]})).json()
    np.testing.assert_allclose(logits, plain["outputs"][0]["data"], rtol=1e-6)

    too_small = {
        "inputs": [image],
        "outputs": [{"name": "logits", "parameters": there | {"shared_memory_byte_size": 8}}],
    }
    assert (await sharing.http.post(INFER, json=too_small)).status_code == 400
    assert (await sharing.admin_http.post("/v2/systemsharedmemory/region/pictures/unregister")).status_code == 200
    assert (await sharing.http.post(INFER, json=asked)).status_code == 400
    assert "system_shared_memory" in (await sharing.http.get("/v2")).json()["extensions"]


@pytest.mark.parametrize(
    "facts",
    [{}, {"key": "/x"}, {"key": "/x", "byte_size": -1}, {"key": 1, "byte_size": 1}, {"key": "/x", "byte_size": 2**70}],
)
async def test_a_region_needs_its_facts(sharing: ProtocolServer, facts: dict[str, Any]) -> None:
    answer = await sharing.admin_http.post("/v2/systemsharedmemory/region/r/register", json=facts)
    assert answer.status_code == 400
