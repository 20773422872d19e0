"""A store with a champion, a challenger that answers differently, and servers over it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.handmade import Handmade, build_package
from tests.serving.host_server import HostServer, host_server, until
from tests.serving.remote_store import RemoteStore

Starter = Callable[..., Any]
LIGHT = 40.0
"""Added to the last logit: whatever it is shown, such a version says "light"."""


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders colours-0, colours-1 (as good as the same) and colours-2, which always says "light"."""
    root = tmp_path_factory.mktemp("challengers")
    for number, shift in enumerate((0.0, 0.001, LIGHT)):
        build_package(root / f"colours-{number}", Handmade(shift=shift))
    return root


@pytest.fixture
def store(tmp_path: Path, versions: Path) -> RemoteStore:
    """colours/1 is the champion and colours/3, which always says "light", the challenger."""
    made = RemoteStore(tmp_path / "store")
    for number in range(3):
        made.publish(versions / f"colours-{number}")
    made.set_alias("colours", "champion", "1")
    made.set_alias("colours", "challenger", "3")
    return made


@pytest.fixture
async def start(store: RemoteStore) -> AsyncIterator[Starter]:
    """`await start(challenger_share=0.5)` → a running HostServer on the store, whose challenger is loaded."""
    async with AsyncExitStack() as stack:

        async def begin(*, challenger: str | None = "3", **settings: Any) -> HostServer:
            server: HostServer = await stack.enter_async_context(host_server(store, **settings))
            if challenger is not None:
                await until(lambda: state_of(server, challenger) == "READY")
            return server

        yield begin


def state_of(server: HostServer, version: str) -> str:
    """Of one version, as the index has it; empty where it has not."""
    return next((one.state for one in server.host.index() if one.version == version), "")
