"""Server processes under measurement: each held on the server's core, ready before it is used, gone afterwards."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import SERVER_CORE, pinned

START_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Server:
    """Where a process listens. `pid` is the process whose CPU time is counted."""

    pid: int
    http_port: int
    grpc_port: int
    admin_port: int

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.http_port}{path}"


@contextmanager
def tidegate_server(packages: Path, settings: Mapping[str, str]) -> Iterator[Server]:
    """`tidegate serve` on a plain folder of packages, every champion loaded."""
    http, grpc, metrics, admin = (free_port() for _ in range(4))
    flags = ["--http-port", str(http), "--grpc-port", str(grpc), "--metrics-port", str(metrics)]
    environment = {"MLFLOW_TRACKING_URI": str(packages), "TIDEGATE_ADMIN_PORT": str(admin), **settings}
    with process([sys.executable, "-m", "tidegate", "serve", *flags], environment) as child:
        wait_until_answered(f"http://127.0.0.1:{http}/v2/health/ready", child)
        yield Server(child.pid, http, grpc, admin)


@contextmanager
def echo_server(protocol: str) -> Iterator[tuple[int, int]]:
    """The bare echo of `benchmarks.echo`: its port and process id."""
    port = free_port()
    with process([sys.executable, "-m", "benchmarks.echo", protocol, str(port)], {}) as child:
        wait_until_open(port, child)
        yield port, child.pid


@contextmanager
def process(command: list[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A child on the server's core; asked to leave at the end, killed if it does not."""
    quiet = {**os.environ, **environment}
    child = subprocess.Popen(pinned(SERVER_CORE, command), env=quiet, stderr=subprocess.DEVNULL)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until_answered(url: str, child: subprocess.Popen[bytes]) -> None:
    """Until `url` answers 200."""
    expires_at = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < expires_at and child.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"{child.args!r} did not become ready (exit status {child.poll()}); run it by hand to see why")


def wait_until_open(port: int, child: subprocess.Popen[bytes]) -> None:
    """Until somebody listens on `port`."""
    expires_at = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < expires_at and child.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"{child.args!r} does not listen (exit status {child.poll()}); run it by hand to see why")
