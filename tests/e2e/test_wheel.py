"""The wheel is complete: unpacked elsewhere, it serves a folder of packages without the checkout."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path

import pytest

from registry.local_store import LocalStore
from tests.handmade import Handmade, build_package, encoded

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that an installation of the wheel would have in site-packages."""
    built = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(built), str(ROOT)]
    subprocess.run(command, check=True, timeout=300)
    (archive,) = built.glob("*.whl")
    zipfile.ZipFile(archive).extractall(built / "site")
    return built / "site"


def start(wheel: Path, cwd: Path, *arguments: str) -> subprocess.Popen[str]:
    """`tidegate …` from the wheel, far from the checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return subprocess.Popen(
        [sys.executable, "-m", "tidegate", *arguments],
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(wheel), "PYTHONSAFEPATH": "1", "TIDEGATE_ADMIN_PORT": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_it_carries_recipes_and_pages_and_no_tests(wheel: Path) -> None:
    names = {path.relative_to(wheel).as_posix() for path in wheel.rglob("*")}
    checkout = {
        path.relative_to(ROOT).as_posix()
        for package in ("tidegate", "tasks", "registry", "monitoring", "serving", "training", "export")
        for path in (ROOT / package).rglob("*")
        if path.suffix in {".py", ".toml", ".html", ".css", ".js", ".svg"}
    }
    assert checkout <= names
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "deploy"))]


def test_help_works_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    process = start(wheel, tmp_path, "--help")
    shown, _ = process.communicate(timeout=60)
    assert (process.returncode, "tidegate serve" in shown) == (0, True)


def test_it_serves_a_folder_of_packages(wheel: Path, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "packages")
    store.publish(build_package(tmp_path / "built", Handmade(max_batch=2)).folder)
    store.set_alias("colours", "champion", "1")
    ports = ("--http-port", "0", "--grpc-port", "0", "--metrics-port", "0")
    process = start(wheel, tmp_path, "serve", "--store", "packages", *ports)
    try:
        assert process.stdout is not None
        said: list[str] = []
        while (found := re.search(r'"http": ?(\d+)', said[-1] if said else "")) is None:
            said.append(process.stdout.readline())
            assert said[-1], f"the server ended: {said}"
        port = found[1]
        answer = classify(f"http://127.0.0.1:{port}/v1/models/colours/classify", encoded(1))
        assert answer["model_version"] == "1"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0


def classify(url: str, picture: bytes) -> dict[str, str]:
    """The answer, once the model is ready."""
    gives_up_at = time.monotonic() + 120
    while time.monotonic() < gives_up_at:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, picture), timeout=60) as response:
                answer: dict[str, str] = json.load(response)
                return answer
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server never became ready")
