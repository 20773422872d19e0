"""Load generators written in C, so that the client costs next to nothing: wrk for HTTP/1.1, h2load for gRPC."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.machine import LOAD_CORE, pinned

UNIT_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True)
class Request:
    """One request, sent again and again. For gRPC `body` is the serialized message."""

    url: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadResult:
    """What a load generator saw in one round."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    num_requests: int
    num_errors: int


def run_wrk(request: Request, connections: int, seconds: float) -> LoadResult:
    """POST over keep-alive HTTP/1.1 connections. Anything but 2xx counts as an error."""
    with tempfile.TemporaryDirectory() as folder:
        body, script = Path(folder) / "body", Path(folder) / "post.lua"
        body.write_bytes(request.body)
        headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in request.headers.items())
        script.write_text(f'wrk.method = "POST"\nwrk.body = io.open("{body}", "rb"):read("*a")\n{headers}\n')
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "60s", "--latency"]
        run = subprocess.run(
            pinned(LOAD_CORE, [*command, "-s", str(script), request.url]), capture_output=True, text=True, check=True
        )
    return parse_wrk(run.stdout)


def parse_wrk(text: str) -> LoadResult:
    """wrk's report → figures."""
    failures = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    socket_errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    errors = int(failures[1]) if failures else 0
    errors += sum(map(int, socket_errors.groups())) if socket_errors else 0
    return LoadResult(
        requests_per_s=float(found(r"Requests/sec:\s+([\d.]+)", text)[1]),
        p50_ms=duration_ms(found(r"\n\s+50%\s+([\d.]+)(us|ms|s|m)", text)),
        p99_ms=duration_ms(found(r"\n\s+99%\s+([\d.]+)(us|ms|s|m)", text)),
        num_requests=int(found(r"(\d+) requests in", text)[1]),
        num_errors=errors,
    )


def run_h2load(request: Request, connections: int, seconds: float) -> LoadResult:
    """One gRPC stream at a time on each of `connections` HTTP/2 connections."""
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder) / "body", Path(folder) / "log"
        body.write_bytes(b"\x00" + len(request.body).to_bytes(4, "big") + request.body)
        command = ["h2load", "-t1", f"-c{connections}", "-m1", "-D", f"{seconds:g}", "-d", str(body)]
        headers = {"content-type": "application/grpc", "te": "trailers", **request.headers}
        for name, value in headers.items():
            command += ["-H", f"{name}: {value}"]
        run = subprocess.run(
            pinned(LOAD_CORE, [*command, f"--log-file={log}", request.url]), capture_output=True, text=True, check=True
        )
        microseconds = sorted(int(line.split()[2]) for line in log.read_text().splitlines())
    done = found(r"requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed", run.stdout)
    return LoadResult(
        requests_per_s=int(done[3]) / seconds,
        p50_ms=microseconds[len(microseconds) // 2] / 1000,
        p99_ms=microseconds[len(microseconds) * 99 // 100] / 1000,
        num_requests=int(done[3]),
        num_errors=int(done[2]) - int(done[3]),
    )


def found(pattern: str, text: str) -> re.Match[str]:
    """The match, or an error that shows what the load generator really said."""
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(f"the load generator's report has no {pattern!r}:\n{text}")
    return match


def duration_ms(match: re.Match[str]) -> float:
    return float(match[1]) * UNIT_MS[match[2]]
