"""A model host and what it needs, without any network around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prometheus_client import generate_latest

from serving.batcher import BatchLimits
from serving.config import ServerConfig
from serving.drift_feed import DriftFeed
from serving.generator import GeneratorLimits
from serving.metrics import Metrics
from serving.model_host import ModelHost
from serving.surroundings import Surroundings
from serving.workers import DecodePool
from tests.serving.remote_store import RemoteStore


class HostServer:
    """A host and what it needs."""

    def __init__(self, store: RemoteStore, **settings: Any) -> None:
        cache = str(store.root.parent / "cache")
        self.config = ServerConfig(**{"cache_dir": cache, "poll_interval_s": 0.01, "runtime_threads": 1} | settings)
        self.metrics = Metrics()
        self.pool, self.feed = DecodePool(1), DriftFeed(16, 1.0)
        surroundings = Surroundings(self.pool, self.feed, BatchLimits(64), 10**6, GeneratorLimits(64))
        self.host = ModelHost(store, self.config, self.metrics, surroundings)

    def scrape(self) -> str:
        return generate_latest(self.metrics.registry).decode()

    def reason(self, name: str = "colours") -> str:
        return next(one.reason for one in self.host.index() if one.name == name)

    def states(self) -> dict[str, str]:
        return {one.name: one.state for one in self.host.index()}


@asynccontextmanager
async def host_server(store: RemoteStore, **settings: Any) -> AsyncIterator[HostServer]:
    """Started, and stopped at the end. `settings`: of ServerConfig."""
    server = HostServer(store, **settings)
    await server.host.start()
    yield server
    await server.host.stop()
    server.feed.close()
    server.pool.close()


def publish(store: RemoteStore, package: Path) -> str:
    """The next version, champion at once."""
    info = store.publish(package)
    store.set_alias(info.name, "champion", info.version)
    return info.version


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (nobody announces it)
            await asyncio.sleep(0.005)
