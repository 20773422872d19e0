from __future__ import annotations

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from serving.scrape import Scrapes


@pytest.fixture
def http() -> httpx.AsyncClient:
    registry = CollectorRegistry()
    Counter("asked", "Questions.", registry=registry).inc(3)
    return httpx.AsyncClient(transport=httpx.ASGITransport(Scrapes(registry)), base_url="http://server")


@pytest.mark.parametrize("accept", ["*/*", "application/openmetrics-text; version=x; escaping=y"])
async def test_metrics_are_read_as_text(http: httpx.AsyncClient, accept: str) -> None:
    answer = await http.get("/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    [asked] = [one for one in text_string_to_metric_families(answer.text) if one.name == "asked"]
    assert asked.samples[0].value == 3


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,*/*;q=0.1",
        "application/openmetrics-text; version=1.0.0; escaping=underscores; q=0.5",
    ],
)
async def test_prometheus_gets_the_format_that_it_asks_for(http: httpx.AsyncClient, accept: str) -> None:
    answer = await http.get("/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")
    [asked] = [one for one in openmetrics_families(answer.text) if one.name == "asked"]
    assert asked.samples[0].value == 3


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/../etc/passwd", 404), ("POST", "/metrics", 405)])
async def test_nothing_else_is_there(http: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    answer = await http.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"]
