"""Folders of builds: whose owner lives they stay, and whose owner was killed they go."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tidegate.build_folder import build_folder

ROOT = Path(__file__).parents[2]
BUILD = """
import time
from tidegate.build_folder import build_folder
with build_folder() as folder:
    (folder / "package").mkdir()
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def builds(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / ".tidegate").glob("build-*")}


def test_what_a_killed_build_left_goes_with_the_next_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BUILD]
    with subprocess.Popen(command, env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            theirs = Path(process.stdout.readline().strip()).name
            with build_folder() as ours:
                assert builds(tmp_path) == {theirs, ours.name}, "its owner lives"
            assert builds(tmp_path) == {theirs}
        finally:
            process.kill()
    with build_folder() as ours:
        assert builds(tmp_path) == {ours.name}
    assert builds(tmp_path) == set()


def test_a_build_within_another_leaves_that_alone(tmp_path: Path) -> None:
    with build_folder() as first:
        with build_folder() as second:
            assert builds(tmp_path) == {first.name, second.name}
        assert builds(tmp_path) == {first.name}


def test_a_folder_that_says_nothing_of_its_owner_stays(tmp_path: Path) -> None:
    (tmp_path / ".tidegate" / "build-of-somebody").mkdir(parents=True)
    with build_folder():
        pass
    assert builds(tmp_path) == {"build-of-somebody"}
