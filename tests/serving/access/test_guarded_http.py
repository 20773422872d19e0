"""Every route of both HTTP applications, with and without a key: what is not listed as open is closed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from registry.package import ModelPackage
from serving.access.api_key import new_key
from serving.access.caller import Role
from serving.access.key_edits import revoke_key
from serving.access.open_paths import HEALTH
from serving.hot_routes import CHAT, COMPLETIONS
from tests.handmade import encoded
from tests.serving.access.keys import bearer, issue
from tests.serving.protocol_server import TOKEN, ProtocolServer, client, protocol_server

CLASSIFY = "/v1/models/colours/classify"
HOT = [
    CLASSIFY,
    "/v1/models/colours/versions/1/classify",
    "/v1/models/unknown/generate",
    "/v2/models/colours/infer",
    "/v2/models/colours/generate_stream",
    COMPLETIONS,
    CHAT,
]


@dataclass(frozen=True)
class Guarded:
    """A server that asks for keys, and some of them. `shop`: a predict key; `operations`: an admin key."""

    server: ProtocolServer
    file: Path
    shop: str
    operations: str
    slow: str


@pytest.fixture
async def guarded(package: ModelPackage, tmp_path: Path) -> AsyncIterator[Guarded]:
    file = tmp_path / "keys.toml"
    shop, operations = issue(file, "shop"), issue(file, "operations", Role.ADMIN)
    slow = issue(file, "slow", rate=0.01)
    async with protocol_server(package.folder, tmp_path, api_keys=str(file)) as server:
        yield Guarded(server, file, shop, operations, slow)


def routes_of(application: Any) -> Iterator[tuple[str, str]]:
    """Method and path of everything that FastAPI answers, names filled in."""
    paths = application.openapi()["paths"]
    listed = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    listed |= {(method, route.path) for route in application.routes for method in getattr(route, "methods", ())}
    for method, path in sorted(listed):
        yield method, re.sub(r"{\w+(:path)?}", "colours", path)


async def test_no_route_answers_without_a_key_but_those_that_are_listed(guarded: Guarded) -> None:
    routes = [*routes_of(guarded.server.front._slow), *(("POST", path) for path in HOT)]
    assert len(routes) > 25
    routes += [("GET", "/nowhere"), ("GET", "/"), ("OPTIONS", CLASSIFY), ("DELETE", "/v2")]
    for method, path in routes:
        if path.startswith("/console") and not path.startswith("/console/api"):
            continue
        for headers in ({}, bearer(new_key().text()), {"x-api-key": "guess"}):
            answer = await guarded.server.http.request(method, path, headers=headers)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.headers["x-request-id"]
    for path in HEALTH:
        assert (await guarded.server.http.get(path)).status_code == 200


async def test_with_a_key_the_same_routes_answer(guarded: Guarded) -> None:
    for headers in (bearer(guarded.shop), {"X-API-Key": guarded.shop}, bearer(guarded.operations), bearer(TOKEN)):
        for path in ("/docs", "/openapi.json", "/v2", "/v2/models/stats", "/v1/models", "/v1/models/colours/drift"):
            assert (await guarded.server.http.get(path, headers=headers)).status_code == 200
        answer = await guarded.server.http.post(CLASSIFY, content=encoded(1), headers=headers)
        assert answer.json()["model_version"] == "1"


async def test_openai_clients_are_refused_in_their_own_words(guarded: Guarded) -> None:
    for method, path in (("POST", COMPLETIONS), ("POST", CHAT), ("GET", "/v1/models"), ("GET", "/v1/models/tiny")):
        error = (await guarded.server.http.request(method, path)).json()["error"]
        assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")
        assert "Authorization: Bearer" in error["message"]
    assert (await guarded.server.http.get("/v1/models", headers=bearer(guarded.slow))).status_code == 200
    refused = await guarded.server.http.get("/v1/models", headers=bearer(guarded.slow))
    assert (refused.status_code, refused.json()["error"]["type"]) == (429, "rate_limit_error")


async def test_who_asks_too_often_is_told_when_to_come_back(guarded: Guarded) -> None:
    http, headers = guarded.server.http, bearer(guarded.slow)
    assert (await http.post(CLASSIFY, content=encoded(1), headers=headers)).status_code == 200
    refused = await http.post(CLASSIFY, content=encoded(1), headers=headers)
    assert refused.status_code == 429
    assert 90 <= int(refused.headers["retry-after"]) <= 100
    assert "'slow'" in refused.json()["error"]
    assert (await http.post(CLASSIFY, content=encoded(1), headers=bearer(guarded.shop))).status_code == 200
    shown = guarded.server.scrape()
    assert 'tidegate_requests_total{code="429",model="",protocol="http",version=""} 1.0' in shown
    assert 'tidegate_key_requests_total{key="slow",outcome="rate"} 1.0' in shown


async def test_administration_takes_admin_keys_and_the_token_and_no_others(guarded: Guarded) -> None:
    admin: Any = guarded.server.admin_http._transport
    async with client(admin.app, {}) as http:
        for headers, status in (
            ({}, 401),
            (bearer(new_key().text()), 401),
            (bearer(guarded.shop), 403),
            (bearer(guarded.operations), 200),
            ({"X-API-Key": guarded.operations}, 200),
            (bearer(TOKEN), 200),
        ):
            assert (await http.post("/v2/repository/index", headers=headers)).status_code == status
            assert (await http.get("/v2/health/live", headers=headers)).status_code == status
    assert 'tidegate_access_refused_total{reason="role"} 2.0' in guarded.server.scrape()


async def test_a_revoked_key_is_nobodys(guarded: Guarded) -> None:
    assert (await guarded.server.http.get("/v2", headers=bearer(guarded.shop))).status_code == 200
    revoke_key(guarded.file, "shop")
    keys = guarded.server.access._keys
    assert keys is not None
    keys.reread()
    assert (await guarded.server.http.get("/v2", headers=bearer(guarded.shop))).status_code == 401


async def test_no_log_and_no_answer_holds_a_key(guarded: Guarded, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    secrets = [text.rpartition("_")[2] for text in (guarded.shop, guarded.operations, guarded.slow, new_key().text())]
    for secret in secrets:
        for path in ("/v2", "/nowhere", "/v1/models"):
            answer = await guarded.server.http.get(path, headers=bearer(f"tg_000000000000_{secret}"))
            assert secret not in answer.text + str(answer.headers)
    assert not any(secret in caplog.text for secret in secrets)
