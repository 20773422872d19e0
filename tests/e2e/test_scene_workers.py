"""A process that draws scenes in workers of its own, and is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120.0
SCRIPT = """
from training.data.config import ScenesConfig
from training.data.source import open_source
if __name__ == "__main__":
    open_source(ScenesConfig(train_size=20000)).split("train")
"""

pytestmark = pytest.mark.e2e


def test_its_workers_end_with_it(tmp_path: Path) -> None:
    (tmp_path / "draw.py").write_text(SCRIPT)
    variables = {"PYTHONPATH": str(ROOT), "TIDEGATE_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, str(tmp_path / "draw.py")], env=os.environ | variables) as process:
        workers = wait_for_workers(process)
        process.kill()
    _, alive = psutil.wait_procs(workers, TIMEOUT_S)
    for worker in alive:
        worker.kill()
    assert not alive


def wait_for_workers(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Once one of them works."""
    expires_at = time.monotonic() + TIMEOUT_S
    while time.monotonic() < expires_at and process.poll() is None:
        workers = [one for one in psutil.Process(process.pid).children() if "spawn_main" in " ".join(one.cmdline())]
        if any(worker.cpu_times().user > 1.0 for worker in workers):
            return workers
        time.sleep(0.1)
    process.kill()
    pytest.fail("no worker began")
