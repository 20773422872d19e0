"""A real server process with shared memory on, for the protocol's tests: started once, and it must survive them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from registry.local_store import LocalStore
from tests.handmade import Handmade, build_package

TOKEN = "an-e2e-token"
MAX_BODY_BYTES = 2_000_000


@dataclass(frozen=True)
class RunningServer:
    """Addresses as host:port, which is what clients want. `errors`: what it logged as an error, as JSON."""

    pid: int
    http: str
    grpc: str
    admin: str
    metrics: str
    errors: list[dict[str, Any]]

    def is_ready(self) -> bool:
        with urllib.request.urlopen(f"http://{self.http}/v2/health/ready", timeout=30) as answer:
            return bool(answer.status == 200)

    def num_threads(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    def resident_bytes(self) -> int:
        """Memory of the process, as the kernel counts it."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="session")
def running_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("protocol")
    store = LocalStore(folder / "store")
    store.publish(build_package(folder / "package", Handmade()).folder)
    store.set_alias("colours", "champion", "1")
    settings = {
        **{f"TIDEGATE_{name}_PORT": "0" for name in ("HTTP", "GRPC", "METRICS", "ADMIN")},
        "TIDEGATE_ADMIN_TOKEN": TOKEN,
        "TIDEGATE_SHARED_MEMORY": "true",
        "TIDEGATE_MAX_BODY_BYTES": str(MAX_BODY_BYTES),
        "TIDEGATE_CACHE_DIR": str(folder / "cache"),
        "MLFLOW_TRACKING_URI": str(store.root),
    }
    command = [sys.executable, "-m", "tidegate", "serve"]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ | settings, text=True)
    lines: list[dict[str, Any]] = []
    started = threading.Event()

    def read() -> None:
        assert child.stderr is not None
        for line in child.stderr:
            lines.append(json.loads(line))
            if lines[-1]["message"] == "started":
                started.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert started.wait(60), f"the server did not start: {lines}"
        ports = next(line["ports"] for line in lines if "ports" in line)
        http, grpc, admin, metrics = (f"127.0.0.1:{ports[name]}" for name in ("http", "grpc", "admin", "metrics"))
        yield RunningServer(child.pid, http, grpc, admin, metrics, lines)
    finally:
        child.terminate()
        child.wait(60)
        reader.join()


@pytest.fixture
def server(running_server: RunningServer) -> Iterator[RunningServer]:
    """That server, which must be ready afterwards and must not have met a fault of its own."""
    known = len(running_server.errors)
    yield running_server
    assert running_server.is_ready()
    faults = [line for line in running_server.errors[known:] if str(line.get("level", "")).lower() == "error"]
    assert not faults
