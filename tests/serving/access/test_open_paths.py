from __future__ import annotations

import pytest

from serving.access.open_paths import is_open


@pytest.mark.parametrize(
    "path", ["/v2/health/live", "/v2/health/ready", "/console", "/console/", "/console/app.js", "/console/apis.js"]
)
def test_health_and_the_files_of_the_console_need_no_key(path: str) -> None:
    assert is_open(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/docs",
        "/openapi.json",
        "/v2",
        "/v2/health",
        "/v2/health/live/",
        "/v2/health/live/../../models",
        "/V2/HEALTH/LIVE",
        "//v2/health/live",
        "/v2/models/colours/ready",
        "/v1/models",
        "/consoles",
        "/console.js",
        "/console/api",
        "/console/api/",
        "/console/api/models/colours/rollback",
        "/metrics",
    ],
)
def test_everything_else_does(path: str) -> None:
    assert not is_open(path)
