"""MLflow's own programs with our packages: its tracking server as a store, its scoring server as one of ours."""

from __future__ import annotations

import base64
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.e2e.mlflow_server import PUBLISH, mlflow, run, tidegate_serve
from tests.handmade import Handmade, build_package, encoded

pytestmark = pytest.mark.e2e
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
            answered.append(httpx.post(classify, content=encoded(3), trust_env=False, timeout=60).json())
            registry.close()
            time.sleep(1)  # several polls that nobody answers
            answered.append(httpx.post(classify, content=encoded(3), trust_env=False, timeout=60).json())
    with tidegate_serve(tmp_path, url) as classify:
        answered.append(httpx.post(classify, content=encoded(3), trust_env=False, timeout=60).json())
    assert [answer["model_version"] for answer in answered] == ["2", "2", "2"]
    assert answered[0] == answered[1] == answered[2]
