"""The distribution: what a wheel carries, what each extra brings, and that nothing names an index."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
TRAINING_ONLY = {"torch", "transformers", "lightning", "torchmetrics", "mlflow", "onnx", "onnxscript"}

GPU_EXTRAS = {"gpu", "tensorrt"}
"""Installed where a GPU is, and the constraints are made where none is."""


def requirement_names(lines: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in lines}


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_constraints_hold_exact_versions_and_no_addresses() -> None:
    assert CONSTRAINTS
    for line in CONSTRAINTS:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line), f"{line!r}: expected name==version alone"


def test_constraints_pin_every_direct_requirement_within_its_range() -> None:
    pins = {canonicalize_name(name): pin for name, pin in (line.split("==") for line in CONSTRAINTS)}
    extras = PROJECT["project"]["optional-dependencies"]
    lines = [
        *PROJECT["project"]["dependencies"],
        *(line for name, group in extras.items() if name not in GPU_EXTRAS for line in group),
    ]
    for requirement in map(Requirement, lines):
        name = canonicalize_name(requirement.name)
        if name == "tidegate":
            continue
        assert name in pins, f"{name} is not pinned"
        assert requirement.specifier.contains(pins[name], prereleases=True), (
            f"{name}=={pins[name]} is outside {requirement}"
        )


def test_server_alone_needs_no_training_framework() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    server = requirement_names([*PROJECT["project"]["dependencies"], *extras["cpu"], *extras["gpu"]])
    assert not server & TRAINING_ONLY


def test_each_engine_extra_brings_exactly_one_engine() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    engines = {"onnxruntime", "onnxruntime-gpu"}
    assert requirement_names(extras["cpu"]) & engines == {"onnxruntime"}
    assert requirement_names(extras["gpu"]) & engines == {"onnxruntime-gpu"}
    assert not requirement_names(PROJECT["project"]["dependencies"]) & engines


def test_every_package_of_the_layout_is_in_the_wheel() -> None:
    shipped = set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert shipped == {"tidegate", "tasks", "registry", "monitoring", "serving", "training", "export"}


def test_no_file_names_a_package_index() -> None:
    index = re.compile(r"--(?:extra-)?index-url|https?://[^\s\"']*(?:/simple\b|/whl/|pypi\.org)")
    text_files = [
        path for path in tracked_files() if path.suffix in {"", ".py", ".toml", ".txt", ".md", ".sh", ".yaml", ".yml"}
    ]
    offenders = [
        str(path.relative_to(ROOT))
        for path in text_files
        if path != Path(__file__) and index.search(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert not offenders


def test_no_tracked_file_is_over_one_megabyte() -> None:
    assert not [str(path) for path in tracked_files() if path.stat().st_size > 1_000_000]
