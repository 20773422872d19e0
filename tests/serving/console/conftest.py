"""The prediction port with the console on it, over two versions of a hand-built model, without a network between."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from registry.promotion import promote
from registry.reference import ModelRef
from serving.access.access import Access
from serving.access.live_keys import LiveKeys
from serving.console.routes import build_console
from serving.front import build_front
from serving.oip.shared_memory import SharedMemoryRegions
from tests.handmade import Handmade, build_package
from tests.serving.host_server import HostServer, host_server
from tests.serving.remote_store import RemoteStore

TOKEN = "a-token"
ADMIN = {"Authorization": f"Bearer {TOKEN}"}


@dataclass(frozen=True)
class Console:
    """`http`: a client of the whole prediction port."""

    http: httpx.AsyncClient
    store: RemoteStore
    server: HostServer

    async def get(self, path: str, **options: Any) -> Any:
        """What /console/api answers, if that is a 200."""
        answer = await self.http.get(f"/console/api/{path}", **options)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders colours-0 and colours-1, which answer differently."""
    root = tmp_path_factory.mktemp("versions")
    for index in range(2):
        build_package(root / f"colours-{index}", Handmade(shift=0.01 * index))
    return root


@pytest.fixture(scope="session")
def promoted_folder(versions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which version 1 was champion, and version 2 is."""
    root = tmp_path_factory.mktemp("promoted")
    store = RemoteStore(root / "store")
    for version in ("1", "2"):
        store.publish(versions / f"colours-{int(version) - 1}")
        promote(store, ModelRef(name="colours", version=version), cache=root / "judged", who="somebody")
    return store.root


@pytest.fixture
def promoted(promoted_folder: Path, tmp_path: Path) -> RemoteStore:
    """The same, to be changed."""
    return RemoteStore(Path(shutil.copytree(promoted_folder, tmp_path / "store")))


@asynccontextmanager
async def open_console(
    store: RemoteStore, key_file: Path | None = None, check_interval_s: float = 0.001
) -> AsyncIterator[Console]:
    """`key_file`: who may ask; None: everybody. `check_interval_s`: between two verdicts on drift."""
    async with host_server(store, drift_min_window=4, drift_check_interval_s=check_interval_s) as server:
        keys = None if key_file is None else LiveKeys(key_file, server.metrics.access)
        access = Access(TOKEN, server.metrics.access, keys)
        router = build_console(server.host, store, server.config, access)
        regions = SharedMemoryRegions(False, server.config.max_body_bytes)
        front = build_front(server.host, server.config, server.metrics, regions, access, router)
        transport = httpx.ASGITransport(front, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:
            yield Console(http, store, server)
        regions.close()


@pytest.fixture
async def console(promoted: RemoteStore) -> AsyncIterator[Console]:
    """Anybody may look and predict; the token makes an administrator."""
    async with open_console(promoted) as made:
        yield made
