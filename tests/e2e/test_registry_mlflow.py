"""MLflow's own programs with our packages: its tracking server as a store, its scoring server as one of ours."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.handmade import Handmade, build_package, encoded

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 120.0
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

WITHOUT_FULL_MLFLOW = """
import sys
for name in ("pandas", "sqlalchemy", "alembic", "flask", "torch", "sklearn"):
    sys.modules[name] = None
"""
"""What mlflow-skinny lacks, and so the environment of a server."""

LIFE = (
    WITHOUT_FULL_MLFLOW
    + """
from pathlib import Path
from registry.promotion import history, promote, rollback
from registry.store import ModelRef, open_store
from tasks.errors import Conflict, NotFound, Unsupported

uri, folder, cache = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
store = open_store(uri)
print(store.names(), [info.version for info in store.versions("colours")])
for version in ("1", "2"):
    promote(store, ModelRef(name="colours", version=version), cache=cache, who="ann")
champion = store.resolve(ModelRef.parse("colours"))
print(champion.version, champion.aliases, store.fetch(champion, cache).digest == champion.digest)
try:
    promote(store, ModelRef(name="colours", version="1"), cache=cache, who="ann", expected="1")
except Conflict:
    print("conflict")
rollback(store, "colours", who="bob")
print([(event.action, event.version, event.previous) for event in history(store, "colours")])
print(store.lock_records("colours"))
try:
    store.resolve(ModelRef.parse("colours/9"))
except NotFound:
    print("not found")
try:
    store.publish(folder)
except Unsupported as error:
    print(error)
"""
)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("packages")
    return [build_package(root / str(number), Handmade(shift=number / 10)).folder for number in range(2)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings(**more: str) -> dict[str, str]:
    """MLflow starts uvicorn by name, so the environment's own programs come first on the PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PYTHONPATH": str(ROOT), "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true", **more}


def run(program: str, *arguments: object, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=cwd, env=settings(), capture_output=True, text=True, timeout=300,
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


def test_a_tracking_server_is_a_store_for_an_environment_without_full_mlflow(
    packages: list[Path], tmp_path: Path
) -> None:
    where = ("--backend-store-uri", f"sqlite:///{tmp_path / 'mlflow.db'}")
    artifacts = ("--artifacts-destination", str(tmp_path / "artifacts"), "--workers", "1")
    with mlflow(tmp_path, "/health", "server", *where, *artifacts) as url:
        assert run(PUBLISH, url, *packages, cwd=tmp_path).split() == ["colours/1", "colours/2"]
        said = run(LIFE, url, packages[0], tmp_path / "cache", cwd=tmp_path).splitlines()
    assert said == [
        "['colours'] ['1', '2']",
        "2 ('champion',) True",
        "conflict",
        "[('promote', '1', None), ('promote', '2', '1'), ('rollback', '1', '2')]",
        "{}",
        "not found",
        "registering a package needs full mlflow: pip install 'tidegate[train]'",
    ]
    assert not (tmp_path / "mlruns").exists()


def test_mlflow_serves_a_registered_package(packages: list[Path], tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    run(PUBLISH, uri, *packages, cwd=tmp_path)
    command = ("models", "serve", "--model-uri", "models:/colours/2", "--env-manager", "local", "--workers", "1")
    with mlflow(tmp_path, "/ping", *command, MLFLOW_TRACKING_URI=uri) as url:
        picture = base64.b64encode(encoded(3)).decode()
        rows = {"columns": ["encoded_image"], "data": [[picture], [picture]]}
        body = {"dataframe_split": rows, "params": {"top_k": 2}}
        answer = httpx.post(f"{url}/invocations", json=body, timeout=60, trust_env=False)
        wrong = httpx.post(f"{url}/invocations", json={"inputs": [1]}, timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert [len(prediction["classes"]) for prediction in answer.json()["predictions"]] == [2, 2]
    assert answer.json()["predictions"][0]["classes"][0]["label"] in ("dark", "red", "green", "blue", "light")
    assert wrong.status_code == 400


@contextmanager
def tidegate_serve(cwd: Path, tracking_uri: str) -> Iterator[str]:
    """`tidegate serve` following an MLflow server → the address of its classifier, once it is ready."""
    port = free_port()
    variables = {f"TIDEGATE_{name}_PORT": "0" for name in ("GRPC", "METRICS", "ADMIN")}
    followed = {"MLFLOW_TRACKING_URI": tracking_uri, "TIDEGATE_POLL_INTERVAL_S": "0.2", "TIDEGATE_MODELS": "colours"}
    command = [sys.executable, "-m", "tidegate", "serve", "--http-port", str(port)]
    with (cwd / "serve.log").open("w") as log:
        child = subprocess.Popen(command, cwd=cwd, env=settings(**variables, **followed), stderr=log)
    try:
        gives_up_at = time.monotonic() + START_TIMEOUT_S
        while not answers(f"http://127.0.0.1:{port}/v2/health/ready"):
            assert child.poll() is None, (cwd / "serve.log").read_text()
            assert time.monotonic() < gives_up_at, (cwd / "serve.log").read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1/models/colours/classify"
    finally:
        child.terminate()
        assert child.wait(60) == 0


def test_a_server_outlives_its_registry_and_starts_without_it(packages: list[Path], tmp_path: Path) -> None:
    where = ("--backend-store-uri", f"sqlite:///{tmp_path / 'mlflow.db'}")
    artifacts = ("--artifacts-destination", str(tmp_path / "artifacts"), "--workers", "1")
    answered = []
    with ExitStack() as registry:
        url = registry.enter_context(mlflow(tmp_path, "/health", "server", *where, *artifacts))
        run(PUBLISH, url, *packages, cwd=tmp_path)
        run("import sys; from registry.store import open_store\n"
            "open_store(sys.argv[1]).set_alias('colours', 'champion', '2')", url, cwd=tmp_path)  # fmt: skip
        with tidegate_serve(tmp_path, url) as classify:
            answered.append(httpx.post(classify, content=encoded(3), trust_env=False).json())
            registry.close()
            time.sleep(1)  # several polls that nobody answers
            answered.append(httpx.post(classify, content=encoded(3), trust_env=False).json())
    with tidegate_serve(tmp_path, url) as classify:
        answered.append(httpx.post(classify, content=encoded(3), trust_env=False).json())
    assert [answer["model_version"] for answer in answered] == ["2", "2", "2"]
    assert answered[0] == answered[1] == answered[2]
