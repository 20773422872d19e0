"""A process that does jobs, one line of JSON each: what is measured beside something else runs in one of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import msgspec


class Worker:
    """`command` says "ready" when it is, and answers every line {"job": name, …} with one; `log`: where it writes what
    goes wrong."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        self._read()

    def ask(self, job: str, **arguments: Any) -> Any:
        """Raises RuntimeError if the process has died."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode({"job": job, **arguments}).decode() + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker of the benchmark died:\n{self._log.read_text()[-2000:]}")
        return msgspec.json.decode(line)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
