"""Real server processes, each started once: they must survive what the tests do to them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from registry.local_store import LocalStore
from registry.package import ModelPackage
from tests.handmade import Handmade, build_package
from tests.handmade_detection import build_detector
from tests.handmade_segmentation import build_segmenter
from tests.handmade_suppression import build_crowd
from tests.tiny_captioner import build_captioner_package
from tests.tiny_language import build_language_package

TOKEN = "an-e2e-token"
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 120.0
"""More than any server here is given to write its last answers."""
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


@contextmanager
def start_server(folder: Path, packages: Iterable[ModelPackage], **settings: str) -> Iterator[RunningServer]:
    """A server of its own on free ports, whose champions are these packages. `settings`: without their TIDEGATE_."""
    store = LocalStore(folder / "store")
    for package in packages:
        version = store.publish(package.folder).version
        store.set_alias(package.manifest.name, "champion", version)
    environment = {
        **{f"TIDEGATE_{name}_PORT": "0" for name in ("HTTP", "GRPC", "METRICS", "ADMIN")},
        **{f"TIDEGATE_{name}": value for name, value in settings.items()},
        "TIDEGATE_ADMIN_TOKEN": TOKEN,
        "TIDEGATE_CACHE_DIR": str(folder / "cache"),
        "MLFLOW_TRACKING_URI": str(store.root),
    }
    with run_server(environment) as started:
        yield started


@contextmanager
def run_server(environment: Mapping[str, str], folder: Path | None = None) -> Iterator[RunningServer]:
    """A server of these variables, in this working directory."""
    command = [sys.executable, "-m", "tidegate", "serve"]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, **environment}, cwd=folder, text=True)
    lines: list[dict[str, Any]] = []
    started_or_gone = threading.Event()

    def read() -> None:
        assert child.stderr is not None
        for line in child.stderr:
            lines.append(parsed(line))
            if lines[-1]["message"] == "started":
                started_or_gone.set()
        started_or_gone.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        started_or_gone.wait(START_TIMEOUT_S)
        assert any(line["message"] == "started" for line in lines), f"the server did not start: {lines}"
        ports = next(line["ports"] for line in lines if "ports" in line)
        http, grpc, admin, metrics = (f"127.0.0.1:{ports[name]}" for name in ("http", "grpc", "admin", "metrics"))
        yield RunningServer(child.pid, http, grpc, admin, metrics, lines)
    finally:
        child.terminate()
        try:
            child.wait(STOP_TIMEOUT_S)
        finally:
            child.kill()
            reader.join()


def parsed(line: str) -> dict[str, Any]:
    """A line of the log. What Python itself says of a server that breaks down counts as an error."""
    try:
        return dict(json.loads(line))
    except ValueError:
        return {"level": "error", "message": line.rstrip()}


@pytest.fixture(scope="session")
def running_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("protocol")
    packages = [build_package(folder / "package", Handmade())]
    limits = {"SHARED_MEMORY": "true", "MAX_BODY_BYTES": str(MAX_BODY_BYTES)}
    with start_server(folder, packages, **limits) as started:
        yield started


@pytest.fixture(scope="session")
def objects_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A detector and a segmenter side by side, and a detector in two variants of which it takes the first."""
    folder = tmp_path_factory.mktemp("objects")
    builders = (build_detector, build_segmenter, build_crowd)
    packages = [build(folder / build.__name__) for build in builders]
    with start_server(folder, packages) as started:
        yield started


@pytest.fixture(scope="session")
def language_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Models with random weights: `tiny`; `slow`, which takes seconds to fill its context; and two for pictures."""
    folder = tmp_path_factory.mktemp("language")
    packages = [
        build_language_package(folder / "tiny", context=512),
        build_language_package(
            folder / "slow", name="slow", context=8192, width=256, depth=4, slots=(2,), num_golden=1
        ),
        build_captioner_package(folder / "captioner"),
        build_package(folder / "colours", Handmade()),
    ]
    with start_server(folder, packages, MAX_WAITING="8", MAX_JSON_BYTES="200000") as started:
        yield started


@pytest.fixture
def server(running_server: RunningServer) -> Iterator[RunningServer]:
    """That server, which must be ready afterwards and must not have met a fault of its own."""
    with unharmed(running_server):
        yield running_server


@pytest.fixture
def objects(objects_server: RunningServer) -> Iterator[RunningServer]:
    """The server of detectors and a segmenter, held to the same."""
    with unharmed(objects_server):
        yield objects_server


@pytest.fixture
def language(language_server: RunningServer) -> Iterator[RunningServer]:
    """The server of language models, held to the same."""
    with unharmed(language_server):
        yield language_server


@contextmanager
def unharmed(running: RunningServer) -> Iterator[None]:
    known = len(running.errors)
    yield
    assert running.is_ready()
    faults = [line for line in running.errors[known:] if str(line.get("level", "")).lower() == "error"]
    assert not faults
