"""MLflow's own programs as processes, and servers of ours that follow them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 120.0
PROGRAM = "import sys; from mlflow.cli import cli; sys.exit(cli())"
"""`mlflow`, without the need for its script on the PATH."""

PUBLISH = """
import sys
from pathlib import Path
from registry.mlflow_store import MlflowStore
store = MlflowStore(sys.argv[1])
print(store.publish(Path(sys.argv[2])))
run_id = store.client.create_run(store.experiment_id()).info.run_id
print(store.publish(Path(sys.argv[3]), run_id=run_id))
"""
"""One that came from nowhere, and one from a training run."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings(**more: str) -> dict[str, str]:
    """MLflow starts uvicorn by name, so the environment's own programs come first on the PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PYTHONPATH": str(ROOT), "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true", **more}


def run(program: str, *arguments: object, cwd: Path, **variables: str) -> str:
    """What a Python program printed."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=cwd, env=settings(**variables), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def mlflow(cwd: Path, alive: str, *arguments: str, **variables: str) -> Iterator[str]:
    """An MLflow server on a free port → its address, once GET `alive` is answered. It and its children end with it."""
    port = free_port()
    command = [sys.executable, "-c", PROGRAM, *arguments, "--host", "127.0.0.1", "--port", str(port)]
    with (cwd / "server.log").open("w") as log:
        child = subprocess.Popen(
            command, cwd=cwd, env=settings(**variables), stdout=log, stderr=log, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        gives_up_at = time.monotonic() + START_TIMEOUT_S
        while not answers(url + alive):
            assert child.poll() is None, (cwd / "server.log").read_text()
            assert time.monotonic() < gives_up_at, (cwd / "server.log").read_text()
            time.sleep(0.1)
        yield url
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=10, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def tidegate_serve(cwd: Path, tracking_uri: str, **more: str) -> Iterator[str]:
    """`tidegate serve` following a registry → the address of its classifier, once it is ready. `more`: variables."""
    port = free_port()
    variables = {f"TIDEGATE_{name}_PORT": "0" for name in ("GRPC", "METRICS", "ADMIN")}
    followed = {"MLFLOW_TRACKING_URI": tracking_uri, "TIDEGATE_POLL_INTERVAL_S": "0.2", "TIDEGATE_MODELS": "colours"}
    command = [sys.executable, "-m", "tidegate", "serve", "--http-port", str(port)]
    with (cwd / "serve.log").open("w") as log:
        child = subprocess.Popen(command, cwd=cwd, env=settings(**variables, **followed, **more), stderr=log)
    try:
        gives_up_at = time.monotonic() + START_TIMEOUT_S
        while not answers(f"http://127.0.0.1:{port}/v2/health/ready"):
            assert child.poll() is None, (cwd / "serve.log").read_text()
            assert time.monotonic() < gives_up_at, (cwd / "serve.log").read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1/models/colours/classify"
    finally:
        child.terminate()
        try:
            assert child.wait(STOP_TIMEOUT_S) == 0
        finally:
            child.kill()
