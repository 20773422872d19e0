"""A real server process from its first log line to its exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from registry.local_store import LocalStore
from tests.e2e.conftest import parsed
from tests.handmade import Handmade, build_package, encoded

pytestmark = pytest.mark.e2e
JPEG = encoded(3)
TIMEOUT_S = 120.0


@dataclass
class Process:
    """A server and what it said so far."""

    child: subprocess.Popen[str]
    lines: list[dict[str, object]] = field(default_factory=list)

    @property
    def url(self) -> str:
        ports = next(line["ports"] for line in self.lines if "ports" in line)
        assert isinstance(ports, dict)
        return f"http://127.0.0.1:{ports['http']}"

    def read(self) -> None:
        assert self.child.stderr is not None
        for line in self.child.stderr:
            self.lines.append(parsed(line))


def wait_for(condition: Callable[[], object]) -> None:
    expires_at = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < expires_at, "it took too long"
        time.sleep(0.02)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """Two versions of colours, the first is champion."""
    made = LocalStore(tmp_path / "store")
    for shift in (0.0, 1.0):
        made.publish(build_package(tmp_path / f"package-{shift}", Handmade(shift=shift)).folder)
    made.set_alias("colours", "champion", "1")
    return made


@pytest.fixture
def server(store: LocalStore, tmp_path: Path) -> Iterator[Process]:
    settings = {
        **{f"TIDEGATE_{name}_PORT": "0" for name in ("HTTP", "GRPC", "METRICS", "ADMIN")},
        "TIDEGATE_POLL_INTERVAL_S": "0.1",
        "TIDEGATE_CACHE_DIR": str(tmp_path / "cache"),
        "MLFLOW_TRACKING_URI": str(store.root),
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "tidegate", "serve"], stderr=subprocess.PIPE, env=os.environ | settings, text=True
    )
    process = Process(child)
    reader = threading.Thread(target=process.read)
    reader.start()
    try:
        wait_for(lambda: any(line["message"] == "started" for line in process.lines) or child.poll() is not None)
        assert child.poll() is None, process.lines
        yield process
    finally:
        child.kill()
        child.wait()
        reader.join()


@dataclass
class Client(threading.Thread):
    """Asks on one connection until it is told to stop or turned away. `seen`: model versions and faults."""

    url: str
    stop: threading.Event
    seen: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__()

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        with httpx.Client(base_url=self.url, trust_env=False, timeout=30) as http:
            while not self.stop.is_set():
                try:
                    answer = http.post("/v1/models/colours/classify", content=JPEG)
                except httpx.ConnectError:
                    self.seen["turned away"] += 1
                    return
                except httpx.TransportError as error:
                    self.seen[f"lost: {error!r}"] += 1
                    return
                found = answer.json().get("model_version", answer.text) if answer.status_code == 200 else answer.text
                self.seen[found] += 1


def start_clients(url: str) -> tuple[list[Client], threading.Event]:
    stop = threading.Event()
    clients = [Client(url, stop) for _ in range(8)]
    for client in clients:
        client.start()
    wait_for(lambda: all(client.seen["1"] > 3 for client in clients))
    return clients, stop


def total(clients: list[Client]) -> Counter[str]:
    for client in clients:
        client.join(TIMEOUT_S)
    return sum((client.seen for client in clients), Counter())


def test_a_swap_under_load_loses_no_request(server: Process, store: LocalStore) -> None:
    clients, stop = start_clients(server.url)
    store.set_alias("colours", "champion", "2")
    wait_for(lambda: all(client.seen["2"] > 3 for client in clients))
    stop.set()
    assert set(total(clients)) == {"1", "2"}


def test_sigterm_under_load_answers_everything_and_leaves_with_0(server: Process) -> None:
    clients, _ = start_clients(server.url)
    server.child.send_signal(signal.SIGTERM)
    assert server.child.wait(TIMEOUT_S) == 0
    assert set(total(clients)) == {"1", "turned away"}
    wait_for(lambda: server.lines[-1]["message"] == "stopped")
    assert all(line["level"] == "info" for line in server.lines)
