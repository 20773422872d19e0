"""A registry of many machines: MLflow on PostgreSQL, set up as in deploy/kubernetes, and servers that follow it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
import yaml

from registry.mlflow_store import MlflowStore
from registry.store import open_store
from tests.e2e.mlflow_server import PUBLISH, ROOT, mlflow, run, settings, tidegate_serve
from tests.e2e.postgres_server import PostgresServer, start_postgres
from tests.forks import forked
from tests.handmade import Handmade, build_package, encoded
from training.tracking import RunTracker

pytestmark = pytest.mark.e2e
BASE = ROOT / "deploy" / "kubernetes" / "base" / "kustomization.yaml"
SWAP_TIMEOUT_S = 120.0


@pytest.fixture(scope="module")
def postgres(require_tool: Callable[[str], str]) -> Iterator[PostgresServer]:
    with start_postgres(require_tool, ("mlflow", "direct", "together")) as started:
        yield started


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("packages")
    return [build_package(root / str(number), Handmade(shift=number / 10)).folder for number in range(2)]


def manifest_settings() -> dict[str, str]:
    """What the manifests give to MLflow, as they give it: by variables."""
    generators = yaml.safe_load(BASE.read_text(encoding="utf-8"))["configMapGenerator"]
    (literals,) = (one["literals"] for one in generators if one["name"] == "mlflow-settings")
    return dict(literal.split("=", 1) for literal in literals)


def tidegate(cwd: Path, *arguments: str, **variables: str) -> str:
    """What a command printed."""
    command = [sys.executable, "-m", "tidegate", *arguments]
    done = subprocess.run(
        command, cwd=cwd, env=settings(**variables), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Callers:
    """Ask every server all the time, and keep what was not answered."""

    def __init__(self, addresses: list[str]) -> None:
        self.failures: list[str] = []
        self.versions: dict[str, str] = {}
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(address,)) for address in addresses]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, address: str) -> None:
        with httpx.Client(trust_env=False, timeout=60) as client:
            while not self._stopped.is_set():
                answer = client.post(address, content=encoded(3))
                if answer.status_code == 200:
                    self.versions[address] = answer.json()["model_version"]
                else:
                    self.failures.append(answer.text)
                time.sleep(0.01)

    def wait_for(self, version: str) -> None:
        """Until every server answers with it."""
        expires_at = time.monotonic() + SWAP_TIMEOUT_S
        while set(self.versions.values()) != {version} or len(self.versions) < len(self._threads):
            assert time.monotonic() < expires_at, f"{self.versions}, {self.failures}"
            time.sleep(0.05)


def test_two_servers_swap_by_a_registry_on_postgresql(
    postgres: PostgresServer, packages: list[Path], tmp_path: Path
) -> None:
    told = manifest_settings()
    variables = {
        **told,
        **postgres.variables,
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"{told['MLFLOW_SERVER_ALLOWED_HOSTS']},127.0.0.1:*",
        "MLFLOW_BACKEND_STORE_URI": postgres.uri("mlflow"),
        "MLFLOW_ARTIFACTS_DESTINATION": str(tmp_path / "artifacts"),
    }
    with mlflow(tmp_path, "/health", "server", "--workers", "2", **variables) as url:
        assert run(PUBLISH, url, *packages, cwd=tmp_path).split() == ["colours/1", "colours/2"]
        tidegate(tmp_path, "promote", "colours/1", "--store", url)
        folders = [tmp_path / "first", tmp_path / "second"]
        for folder in folders:
            folder.mkdir()
        with (
            tidegate_serve(folders[0], url) as first,
            tidegate_serve(folders[1], url) as second,
            Callers([first, second]) as callers,
        ):
            callers.wait_for("1")
            tidegate(tmp_path, "promote", "colours/2", "--expect", "1", "--store", url)
            callers.wait_for("2")
            tidegate(tmp_path, "rollback", "colours", "--store", url)
            callers.wait_for("1")
        assert callers.failures == []
        history = tidegate(tmp_path, "history", "colours", "--store", url)
        assert [line.split()[2] for line in history.splitlines()[1:]] == ["promote", "promote", "rollback"]
        # By the name of its Service it is asked, and by no other.
        answers = [
            httpx.get(
                f"{url}/api/2.0/mlflow/experiments/get?experiment_id=0",
                headers={"Host": host},
                trust_env=False,
                timeout=60,
            )
            for host in ("mlflow:5000", "elsewhere.example.com")
        ]
        assert [answer.status_code for answer in answers] == [200, 403]


def test_the_database_alone_is_a_registry_too(postgres: PostgresServer, packages: list[Path], tmp_path: Path) -> None:
    uri = postgres.uri("direct")
    variables = {**postgres.variables, "MLFLOW_DEFAULT_ARTIFACT_ROOT": (tmp_path / "artifacts").as_uri()}
    assert run(PUBLISH, uri, *packages, cwd=tmp_path, **variables).split() == ["colours/1", "colours/2"]
    tidegate(tmp_path, "promote", "colours/2", "--store", uri, **variables)
    assert "champion" in tidegate(tmp_path, "models", "--store", uri, **variables)
    with tidegate_serve(tmp_path, uri, **variables) as classify:
        assert httpx.post(classify, content=encoded(3), trust_env=False, timeout=60).json()["model_version"] == "2"
    assert not (tmp_path / "mlruns").exists()


def test_machines_that_begin_together_all_find_the_tables(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = postgres.uri("together")
    for name, value in {**postgres.variables, "MLFLOW_DEFAULT_ARTIFACT_ROOT": tmp_path.as_uri()}.items():
        monkeypatch.setenv(name, value)

    def register(number: int) -> None:
        MlflowStore(uri).mark_registered(f"colours-{number}")

    trains = partial(RunTracker.start, uri, tmp_path, "together", {})
    assert forked(trains, trains, *(partial(register, number) for number in range(4))) == [0] * 6
    assert open_store(uri).names() == [f"colours-{number}" for number in range(4)]
