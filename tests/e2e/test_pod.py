"""What Kubernetes and Docker do with a server, done here: settings, certificates, keys, probes, health command."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from registry.local_store import LocalStore
from serving.access.caller import Role
from serving.access.key_edits import issue_key
from tests.certificates import Authority
from tests.handmade import Handmade, build_package, encoded

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "deploy" / "kubernetes" / "components" / "kserve" / "runtime.yaml"
HEALTHY = ROOT / "deploy" / "docker" / "healthy.py"


@dataclass(frozen=True)
class ServerPod:
    """A server as KServe's runtime starts it: a folder of packages, mounted where nothing may be written."""

    process: subprocess.Popen[str]
    container: dict[str, Any]
    environment: dict[str, str]
    key: str
    port: int
    trust: ssl.SSLContext

    def ask(self, path: str, body: bytes | None = None, key: str = "") -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        request = urllib.request.Request(f"https://localhost:{self.port}{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.trust) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def health(self) -> subprocess.CompletedProcess[str]:
        """What Docker's health check finds."""
        variables = {**self.environment, "TIDEGATE_HTTP_PORT": str(self.port)}
        return subprocess.run([sys.executable, HEALTHY], env=variables, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerPod]:
    root = tmp_path_factory.mktemp("pod")
    (container,) = yaml.safe_load(RUNTIME.read_text(encoding="utf-8"))["spec"]["containers"]
    for mount in container["volumeMounts"]:
        (root / mount["mountPath"].lstrip("/")).mkdir(parents=True, exist_ok=True)
    store = LocalStore(root / "mnt" / "models")
    store.publish(build_package(root / "built", Handmade()).folder)
    store.set_alias("colours", "champion", "1")
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    environment |= {name: f"{root}{value}" for name, value in environment.items() if value.startswith("/")}
    authority = Authority(root)
    authority.issue(Path(environment["TIDEGATE_TLS_CERTIFICATE"]), Path(environment["TIDEGATE_TLS_KEY"]))
    key = issue_key(Path(environment["TIDEGATE_API_KEYS"]), "shop", Role.PREDICT, None).text()
    # Ports of this machine may be taken, and nobody else is to be let in.
    environment |= {f"TIDEGATE_{name}_PORT": "0" for name in ("HTTP", "GRPC", "METRICS", "ADMIN")}
    environment |= {"TIDEGATE_HOST": "127.0.0.1", "PYTHONPATH": str(ROOT), "TMPDIR": str(root / "tmp")}
    arguments = [f"{root}{part}" if part.startswith("/") else part for part in container["args"]]
    for folder, _, files in os.walk(store.root):
        os.chmod(folder, 0o555)
        for file in files:
            os.chmod(Path(folder, file), 0o444)
    (root / "home").mkdir()
    command = [sys.executable, "-m", "tidegate", *arguments]
    process = subprocess.Popen(command, env=environment, cwd=root / "home", stderr=subprocess.PIPE, text=True)
    try:
        yield ServerPod(process, container, environment, key, wait_for_start(process), authority.trusted())
    finally:
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=60)
        assert process.returncode == 0, rest
        assert not list((root / "home").iterdir()), "it wrote where a pod can not"


def wait_for_start(process: subprocess.Popen[str]) -> int:
    """The HTTP port, once models are loaded."""
    assert process.stderr is not None
    port = 0
    for line in process.stderr:
        said = json.loads(line)
        port = said["ports"]["http"] if "ports" in said else port
        if said["message"] == "started":
            return port
    raise AssertionError("the server ended before it had started")


@pytest.mark.parametrize("kind", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_probes_are_answered_without_a_key(pod: ServerPod, kind: str) -> None:
    status, _ = pod.ask(pod.container[kind]["httpGet"]["path"])
    assert status == 200


def test_who_brings_no_key_gets_no_answer(pod: ServerPod) -> None:
    path = "/v1/models/colours/classify"
    assert pod.ask(path, encoded(3))[0] == 401
    status, answer = pod.ask(path, encoded(3), pod.key)
    assert (status, json.loads(answer)["model_version"]) == (200, "1")


def test_the_health_command_of_the_image_finds_it_well(pod: ServerPod) -> None:
    assert (pod.health().returncode, pod.health().stderr) == (0, "")


def test_the_health_command_says_what_is_wrong(pod: ServerPod) -> None:
    nowhere = {**pod.environment, "TIDEGATE_HTTP_PORT": "1"}
    done = subprocess.run([sys.executable, HEALTHY], env=nowhere, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "https://127.0.0.1:1/v2/health/ready" in done.stderr
