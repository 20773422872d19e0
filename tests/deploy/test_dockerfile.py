"""The images: what a linter says, and what it can not know about this project."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.deploy.dockerfile import ROOT, TARGETS, extras_built, lineage, read_stages
from tests.deploy.pod_checks import CAPTURE_TAG, VERSION

ARGUMENTS, STAGES = read_stages()
PINS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").split())
HADOLINT = Path(sys.executable).parent / "hadolint"


def test_the_linter_has_nothing_to_say() -> None:
    done = subprocess.run([HADOLINT, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_linter_would_say_something(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python:latest\nRUN pip install mlflow\n", encoding="utf-8")
    done = subprocess.run([HADOLINT, tmp_path / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode
    assert "DL3007" in done.stdout


def test_what_images_start_from_has_a_version() -> None:
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", ARGUMENTS["PYTHON_IMAGE"])
    assert {stage.base for stage in STAGES.values()} - set(STAGES) == {"${PYTHON_IMAGE}"}


@pytest.mark.parametrize("target", TARGETS)
def test_images_do_not_run_as_root(target: str) -> None:
    users = [user for stage in lineage(target, STAGES) for user in stage.all("USER")]
    assert users == ["10001:10001"]


@pytest.mark.parametrize("target", TARGETS)
def test_images_say_how_to_ask_for_their_health(target: str) -> None:
    checks = [check for stage in lineage(target, STAGES) for check in stage.all("HEALTHCHECK")]
    assert len(checks) == 1
    assert checks == ["NONE"] if target == "trainer" else "CMD" in checks[0]


@pytest.mark.parametrize("target", TARGETS)
def test_images_carry_an_environment_and_no_compiler(target: str) -> None:
    copied = [copy for stage in lineage(target, STAGES) for copy in stage.all("COPY") if "--from" in copy]
    assert copied == [f"--from=build-{target} /opt/tidegate /opt/tidegate"]
    assert not [command for stage in lineage(target, STAGES) for command in stage.commands if "apt-get" in command]


def test_servers_carry_no_training_framework() -> None:
    for name in ("build-server-cpu", "build-server-gpu"):
        assert not re.search(r"\btorch|\btrain\b", " ".join(STAGES[name].commands))


def test_every_installation_is_held_to_the_constraints() -> None:
    installs = [part for stage in STAGES.values() for run in stage.commands for part in re.split("&& ", run)]
    for command in (part for part in installs if "pip install" in part):
        assert "-c constraints.txt" in command or "grep '^torch==' constraints.txt" in command, command


def test_the_engine_for_gpus_is_the_one_that_everything_else_is_tested_with() -> None:
    given = dict(argument.split("=", 1) for argument in STAGES["build-server-gpu"].all("ARG"))
    assert given["ONNXRUNTIME_GPU"] == PINS["onnxruntime"]
    assert all(re.fullmatch(r"[\d.]+", given[name]) for name in ("CUDNN", "CUBLAS", "CUDA_RUNTIME"))


def test_what_is_copied_is_not_ignored() -> None:
    told = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    let_in = {line[1:] for line in told if line.startswith("!")}
    copied = {path for stage in STAGES.values() for copy in stage.all("COPY") for path in copy.split()[:-1]}
    for path in {path for path in copied if not path.startswith(("--from", "/"))}:
        assert (ROOT / path).exists(), path
        assert any(path == place or path.startswith(f"{place}/") for place in let_in), path


def test_the_tags_shown_are_of_this_version() -> None:
    shown = set(re.findall(r"--tag tidegate-\S+:(\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8")))
    assert shown == {VERSION, CAPTURE_TAG}


@pytest.mark.parametrize("page", ["Dockerfile", "docs/capture.md"])
def test_the_extras_shown_are_there_and_named_by_the_tag(page: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    built = extras_built((ROOT / page).read_text(encoding="utf-8"))
    assert built
    for image, extras in built.items():
        assert extras <= set(project["optional-dependencies"]), image
        assert ("capture" in extras) == image.endswith(f":{CAPTURE_TAG}")
        assert ("tensorrt" in extras) == image.startswith("tidegate-server-tensorrt:")


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_a_server_has_the_extras_that_it_is_built_with(kind: str) -> None:
    stage = STAGES[f"build-server-{kind}"]
    assert f"EXTRAS={kind}" in stage.all("ARG")
    assert any('".[${EXTRAS}]"' in command for command in stage.commands)
