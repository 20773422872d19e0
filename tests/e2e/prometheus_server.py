"""A real Prometheus (Debian's package) for tests: its own port and folder, chosen targets and rule files."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT_S = 120.0
POLL_S = 0.1


@dataclass(frozen=True)
class Sample:
    """One series of an answer at one moment."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class PrometheusServer:
    """`address`: http://host:port, which is what Grafana wants too."""

    address: str

    def query(self, expression: str) -> list[Sample]:
        """What PromQL gives now. Raises AssertionError, with Prometheus' own words, for what it can not evaluate."""
        found = self.get("/api/v1/query", {"query": expression})
        if found["resultType"] == "scalar":
            return [Sample({}, float(found["result"][1]))]
        return [Sample(one["metric"], float(one["value"][1])) for one in found["result"]]

    def firing(self) -> list[dict[str, str]]:
        """The labels of every alert that fires, its name as "alertname"."""
        alerts = self.get("/api/v1/alerts", {})["alerts"]
        return [alert["labels"] for alert in alerts if alert["state"] == "firing"]

    def rule_problems(self) -> list[str]:
        """What rules complained about when they were last evaluated, each with its name."""
        rules = [rule for group in self.get("/api/v1/rules", {})["groups"] for rule in group["rules"]]
        return [f"{rule['name']}: {rule['lastError']}" for rule in rules if rule.get("lastError")]

    def wait_for(self, condition: Callable[[], Any], what: str) -> Any:
        """What `condition` gives, as soon as it gives anything that counts as true."""
        expires_at = time.monotonic() + TIMEOUT_S
        while not (found := condition()):
            assert time.monotonic() < expires_at, f"not within {TIMEOUT_S:g} s: {what}"
            time.sleep(POLL_S)
        return found

    def get(self, path: str, parameters: Mapping[str, str]) -> Any:
        """The "data" of an answer of the HTTP API."""
        url = f"{self.address}{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{url}: {error.read().decode('utf-8', 'replace')}") from error


@contextmanager
def start_prometheus(
    folder: Path,
    program: str,
    targets: Sequence[str],
    rule_files: Sequence[Path] = (),
    scrape_interval: str = "500ms",
) -> Iterator[PrometheusServer]:
    """Scrapes `targets` (host:port of metrics ports) as job "tidegate". `program`: what require_tool found.

    A scrape interval below the shortest window of the rules by a factor of ten keeps extrapolation small."""
    configuration = {
        "global": {"scrape_interval": scrape_interval, "scrape_timeout": scrape_interval, "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in rule_files],
        "scrape_configs": [{"job_name": "tidegate", "static_configs": [{"targets": list(targets)}]}],
    }
    folder.mkdir(parents=True, exist_ok=True)
    # JSON is YAML.
    (folder / "prometheus.yml").write_text(json.dumps(configuration), encoding="utf-8")
    port = free_port()
    command = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    server = PrometheusServer(f"http://127.0.0.1:{port}")
    try:
        server.wait_for(lambda: child.poll() is not None or is_ready(server), "Prometheus is ready")
        assert child.poll() is None, (folder / "prometheus.log").read_text(encoding="utf-8")
        yield server
    finally:
        child.terminate()
        child.wait(TIMEOUT_S)


def is_ready(server: PrometheusServer) -> bool:
    try:
        with urllib.request.urlopen(f"{server.address}/-/ready", timeout=30) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def free_port() -> int:
    """One that nobody listens on at this moment: Prometheus does not tell which it took by itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
