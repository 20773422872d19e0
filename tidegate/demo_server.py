"""The demo's server: `tidegate serve` as a process of its own, found by its ports and stopped by SIGTERM."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

from tasks.errors import NotReady

DEFAULT_PORTS = {"http": 8000, "grpc": 8001, "metrics": 8002, "admin": 8003}
READY_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 40.0


class DemoServer:
    """A running server of some models. As a context manager it is ready inside and gone outside."""

    def __init__(self, models: Sequence[str], log_file: Path) -> None:
        self.log_file = log_file
        self._models = tuple(models)
        self.ports = {name: free_port(wanted) for name, wanted in DEFAULT_PORTS.items()}
        self.admin_token = secrets.token_urlsafe(16)
        environment = {
            **os.environ,
            "TIDEGATE_ADMIN_PORT": str(self.ports["admin"]),
            "TIDEGATE_ADMIN_TOKEN": self.admin_token,
            # Whoever tries the demo has no key, whatever else this shell is set up for.
            **dict.fromkeys(("TIDEGATE_API_KEYS", "TIDEGATE_TLS_CERTIFICATE", "TIDEGATE_TLS_KEY"), ""),
            # The demo waits for the verdict on every picture it sent; a real server watches on what time is left.
            "TIDEGATE_DRIFT_CPU_SHARE": "1",
            "TIDEGATE_DRIFT_QUEUE": "2000",
            "TIDEGATE_DRIFT_CHECK_INTERVAL_S": "0.2",
        }
        flags = [f"--{name}-port={self.ports[name]}" for name in ("http", "grpc", "metrics")]
        self.command = ["tidegate", "serve", *models, *flags]
        with log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tidegate", *self.command[1:]],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the demo, which then asks the server to finish what it has accepted.
                start_new_session=True,
            )

    @property
    def http_address(self) -> str:
        return f"127.0.0.1:{self.ports['http']}"

    @property
    def grpc_address(self) -> str:
        return f"127.0.0.1:{self.ports['grpc']}"

    @property
    def admin_address(self) -> str:
        return f"127.0.0.1:{self.ports['admin']}"

    def wait_until_ready(self) -> float:
        """Seconds until the server said so. Raises NotReady with the end of its log where it gave up."""
        started = time.monotonic()
        while time.monotonic() - started < READY_TIMEOUT_S:
            if self._process.poll() is not None:
                raise NotReady(f"the server left with {self._process.returncode}: {self._last_words()}")
            if self._says_ready():
                return time.monotonic() - started
            time.sleep(0.1)
        raise NotReady(f"the server was not ready after {READY_TIMEOUT_S:.0f} s: {self._last_words()}")

    def wait(self) -> None:
        """Until the server leaves by itself."""
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _says_ready(self) -> bool:
        """Whether every model answers: the server itself is ready while some are still being loaded."""
        connection = HTTPConnection("127.0.0.1", self.ports["http"], timeout=5)
        try:
            return all(self._is_loaded(connection, model) for model in self._models)
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def _is_loaded(self, connection: HTTPConnection, model: str) -> bool:
        connection.request("GET", f"/v2/models/{model}/ready")
        response = connection.getresponse()
        response.read()
        return response.status == 200

    def _last_words(self) -> str:
        lines = self.log_file.read_text("utf-8", "replace").splitlines()
        return f"{lines[-1] if lines else 'it wrote no log'} (all of it: {self.log_file})"


def free_port(wanted: int) -> int:
    """`wanted` where nobody listens on it, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise NotReady("this machine has no free port")
