"""Searches in real processes: two that share one, and one that is killed."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from mlflow import MlflowClient

from training.registered import find_versions

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
RECIPE = """
name = "tiny"
[data]
source = "digits"
[image]
height = 8
width = 8
[model]
architecture = "resnet"
options = { depths = [1], widths = [4], stem = "small" }
[schedule]
epochs = 3
batch_size = 64
"""
SPACE = """
trials = 6
objectives = ["score", "num_parameters"]
[space]
optimiser.learning_rate = [3e-3, 1e-2]
model.options.widths = [[4], [8], [12]]
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "space.toml").write_text(SPACE)
    return tmp_path


def start_search(work: Path) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return subprocess.Popen(
        [sys.executable, "-m", "tidegate", "train", "recipe.toml", "--search", "--space", "space.toml"],
        cwd=work,
        env={**environment, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def files_held_by(process: subprocess.Popen[str]) -> set[Path]:
    """What a process holds open at this moment; it opens and closes files while they are being read."""
    held = set()
    with suppress(FileNotFoundError):
        for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                held.add(descriptor.readlink())
    return held


@contextmanager
def held_back(lock: Path) -> Iterator[Callable[[subprocess.Popen[str]], None]]:
    """Lets nobody begin before all are there: trials are done sooner than a process has loaded its libraries. Gives a
    function that waits until a process has come to the lock."""
    lock.parent.mkdir()
    with lock.open("w") as own:
        fcntl.flock(own, fcntl.LOCK_EX)

        def wait_for(process: subprocess.Popen[str]) -> None:
            deadline = time.monotonic() + 300
            while time.monotonic() < deadline and process.poll() is None:
                if lock in files_held_by(process):
                    return
                time.sleep(0.2)
            process.kill()
            pytest.fail(f"the search did not come to its MLflow store: {process.communicate()[1]}")

        yield wait_for


def told(process: subprocess.Popen[str]) -> str:
    """What a search said until it ended well."""
    _, said = process.communicate(timeout=400)
    assert process.returncode == 0, said
    return said


def trials_told(said: str) -> list[str]:
    """The changes of every trial that ended in a process."""
    return [line.partition("(")[2] for line in said.splitlines() if " measured: " in line]


def tracking_uri(work: Path) -> str:
    return f"sqlite:///{work}/.tidegate/mlflow.db"


def test_two_processes_share_one_search(work: Path) -> None:
    with held_back(work / ".tidegate" / "mlflow.db.lock") as wait_for:
        processes = [start_search(work), start_search(work)]
        for process in processes:
            wait_for(process)
    said = [told(process) for process in processes]
    shares = [trials_told(each) for each in said]
    assert all(shares), "each did a part"
    assert len(set(shares[0] + shares[1])) == len(shares[0] + shares[1]) == 6, "nothing was measured twice"
    assert any("registered tiny-trained version 1" in each for each in said)
    assert len(find_versions(tracking_uri(work), "tiny")) == 1, "one of them made the winner"
    client = MlflowClient(tracking_uri(work))
    experiment = client.get_experiment_by_name("tiny-training-search")
    runs = client.search_runs([experiment.experiment_id])
    parents = {run.data.tags.get("mlflow.parentRunId") for run in runs} - {None}
    assert len(parents) == 1, "one run of the search, whoever came first"
    assert len(runs) == 6 + 1


def test_a_search_that_was_killed_goes_on(work: Path) -> None:
    first = start_search(work)
    assert first.stderr is not None
    said: list[str] = []
    for line in first.stderr:
        said.append(line)
        if line.startswith("trial "):
            break
    assert first.poll() is None, said
    database = work / ".tidegate" / "search.db"
    wait_for_running_trial(database)
    first.send_signal(signal.SIGKILL)
    said += first.communicate()[1].splitlines(keepends=True)
    # What ended may not have been told of any more.
    num_ended = num_trials(database, "COMPLETE")
    before, after = trials_told("".join(said)), trials_told(told(start_search(work)))
    assert before
    assert len(after) == 6 - num_ended < 6
    assert not set(before) & set(after)
    assert len(find_versions(tracking_uri(work), "tiny")) == 1


def num_trials(database: Path, state: str) -> int:
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        (found,) = connection.execute("select count(*) from trials where state = ?", (state,)).fetchone()
    return int(found)


def wait_for_running_trial(database: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if num_trials(database, "RUNNING"):
            return
        time.sleep(0.05)
    pytest.fail("no further trial began")
