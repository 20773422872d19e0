"""The real Triton as a process: from `make triton-env`, on a CPU, with the Python backend."""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import tritonclient.grpc as triton_grpc
from tritonclient.utils import InferenceServerException

PROGRAM = Path(__file__).parents[1] / ".venv-triton" / "bin" / "tritonserver"
TIMEOUT_S = 60.0


@dataclass
class TritonProcess:
    """One that can be killed and started anew at the same address, with any repository."""

    program: str
    folder: Path
    port: int
    prefix: str
    child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, repository: Path) -> None:
        """Ready when this returns. It looks for new versions every second."""
        command = [self.program, "--model-repository", str(repository), "--grpc-port", str(self.port)]
        command += ["--grpc-address", "127.0.0.1", "--allow-http", "false", "--allow-metrics", "false"]
        command += ["--model-control-mode", "poll", "--repository-poll-secs", "1", "--exit-timeout-secs", "3"]
        command += ["--backend-config", f"python,shm-region-prefix-name={self.prefix}"]
        with (self.folder / "triton.log").open("ab") as log:
            self.child = subprocess.Popen(command, stdout=log, stderr=log)
        expires_at = time.monotonic() + TIMEOUT_S
        while not self.is_ready():
            assert self.child.poll() is None, self.log()
            assert time.monotonic() < expires_at, self.log()
            time.sleep(0.1)

    def is_ready(self) -> bool:
        with triton_grpc.InferenceServerClient(self.url) as client:
            try:
                return bool(client.is_server_ready(client_timeout=1))
            except InferenceServerException:
                return False

    def log(self) -> str:
        return (self.folder / "triton.log").read_text()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.child is not None:
            self.child.send_signal(how)
            self.child.wait(TIMEOUT_S)
            self.child = None
        for region in Path("/dev/shm").glob(f"{self.prefix}*"):
            region.unlink(missing_ok=True)


@contextmanager
def triton_process(program: str, folder: Path) -> Iterator[TritonProcess]:
    """Not started yet; its log goes into the folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = TritonProcess(program, folder, port, f"tidegate-test-{secrets.token_hex(4)}")
    try:
        yield process
    finally:
        process.stop()
