from __future__ import annotations

import gzip
from typing import Any

import pytest

from tests.serving.protocol_server import ProtocolServer
from tests.serving.wire import (
    CLASSIFY,
    IMAGES,
    INFER,
    image_in_binary,
)


async def test_too_large_is_413_inflated_or_not(protocol: ProtocolServer) -> None:
    bomb = {"content": gzip.compress(bytes(10_000_000)), "headers": {"Content-Encoding": "gzip"}}
    for request, connection in (({"content": bytes(200_001)}, "close"), (bomb, None)):
        answer = await protocol.http.post(INFER, **request)
        assert answer.status_code == 413
        assert "200000" in answer.json()["error"]
        assert answer.headers.get("connection") == connection  # what was read whole need not be waited for


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v2/models/unknown", 404),
        ("GET", "/v2/models/colours/versions/2/config", 404),
        ("POST", "/v2/models/unknown/infer", 404),
        ("POST", "/v1/models/unknown/classify", 404),
        ("POST", "/v1/models/colours/detect", 404),
        ("GET", "/v1/models/unknown/drift", 404),
        ("GET", INFER, 405),
        ("DELETE", CLASSIFY, 405),
        ("POST", "/v2/health/ready", 405),
        ("PUT", "/v2/models/colours", 405),
        ("POST", "/v2/repository/models/colours/load", 403),
        ("POST", "/v2/repository/models/colours/unload", 403),
        ("GET", "/v2/systemsharedmemory/status", 403),
        ("POST", "/v2/systemsharedmemory/region/x/register", 403),
        ("POST", "/v1/models/colours/drift/reset", 403),
        ("POST", "/v2/cudasharedmemory/region/x/register", 501),
        ("POST", "/v2/models/colours/generate", 501),
        ("POST", "/v2/models/colours/versions/1/generate_stream", 501),
    ],
)
async def test_refusals_have_their_status_and_say_why(
    protocol: ProtocolServer, method: str, path: str, status: int
) -> None:
    answer = await protocol.http.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert answer.headers["x-request-id"]
    if status == 405:
        assert answer.json()["error"].endswith(f"use {answer.headers['allow']}")


async def test_request_ids_come_back_unless_they_are_unfit(protocol: ProtocolServer) -> None:
    for path in ("/v2/health/live", "/v2", "/nowhere"):
        assert (await protocol.http.get(path, headers={"x-request-id": "abc-1"})).headers["x-request-id"] == "abc-1"
        unfit = {"x-request-id": "a b" * 100}
        assert (await protocol.http.get(path, headers=unfit)).headers["x-request-id"] != unfit["x-request-id"]


async def test_a_fault_of_ours_is_a_500_with_an_id_and_is_logged_and_counted(
    protocol: ProtocolServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = protocol.host.get("colours")

    async def fail(*_: Any) -> Any:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(model, "infer", fail)
    answer = await protocol.http.post(INFER, **image_in_binary(IMAGES))
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] in answer.json()["error"]
    assert "a bug" not in answer.text
    assert "ZeroDivisionError: a bug" in caplog.text
    assert 'code="500"' in protocol.scrape()


async def test_names_nobody_configured_never_become_labels(protocol: ProtocolServer) -> None:
    await protocol.http.post("/v2/models/made-up-name/infer", content=b"{}")
    assert "made-up-name" not in protocol.scrape()
    assert 'tidegate_requests_total{code="404",model="",protocol="http",version=""} 1.0' in protocol.scrape()
