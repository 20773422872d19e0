"""The HTTP applications over a real host with hand-built models, without a network between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import generate_latest

from registry.store import LocalStore
from serving.access.access import Access
from serving.access.live_keys import LiveKeys
from serving.admin_routes import build_admin
from serving.batcher import BatchLimits
from serving.config import ServerConfig
from serving.drift_feed import DriftFeed
from serving.feedback.routes import build_feedback
from serving.front import build_front
from serving.generator import GeneratorLimits
from serving.metrics import Metrics
from serving.model_host import ModelHost
from serving.oip.shared_memory import SharedMemoryRegions
from serving.open_aftermath import open_aftermath
from serving.surroundings import Surroundings
from serving.tracing.tracing import open_tracing
from serving.workers import DecodePool

TOKEN = "a-token"


@dataclass(frozen=True)
class ProtocolServer:
    """`front` and `admin` are the ASGI applications; `http` and `admin_http` clients of them."""

    host: ModelHost
    config: ServerConfig
    metrics: Metrics
    regions: SharedMemoryRegions
    access: Access
    front: Any
    http: httpx.AsyncClient
    admin_http: httpx.AsyncClient

    def scrape(self) -> str:
        return generate_latest(self.metrics.registry).decode()


@asynccontextmanager
async def protocol_server(package: Path, folder: Path, **settings: Any) -> AsyncIterator[ProtocolServer]:
    """`package` as version 1 of its model, ready to answer; `folder` is for everything it writes."""
    store = LocalStore(folder / "store")
    published = store.publish(package)
    store.set_alias(published.name, "champion", published.version)
    knobs: dict[str, Any] = {"cache_dir": str(folder / "cache"), "admin_token": TOKEN, "runtime_threads": 1}
    config = ServerConfig(**(knobs | settings))
    pool, feed = DecodePool(1), DriftFeed(16, 1.0)
    metrics, regions = Metrics(), SharedMemoryRegions(config.shared_memory, config.max_body_bytes)
    aftermath = open_aftermath(config, metrics)
    surroundings = Surroundings(pool, feed, BatchLimits(64), config.max_pixels, GeneratorLimits(64), aftermath)
    host = ModelHost(store, config, metrics, surroundings)
    await host.start()
    keys = LiveKeys(Path(config.api_keys), metrics.access) if config.api_keys else None
    access = Access(config.admin_token, metrics.access, keys)
    tracing = open_tracing(config)
    front = build_front(host, config, metrics, regions, access, build_feedback(aftermath, config), tracing=tracing)
    admin = build_admin(host, config, regions, access)
    try:
        async with client(front, {}) as http, client(admin, {"Authorization": f"Bearer {TOKEN}"}) as admin_http:
            yield ProtocolServer(host, config, metrics, regions, access, front, http, admin_http)
    finally:
        await host.stop()
        feed.close()
        pool.close()
        regions.close()
        aftermath.close()
        tracing.close()


def client(application: Any, headers: Mapping[str, str]) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://server", headers=headers)
