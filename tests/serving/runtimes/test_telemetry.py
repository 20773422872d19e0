"""ONNX Runtime is told to keep to itself, whoever imports it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SUPPRESSING = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS")
"""Variables by which it would keep to itself without us."""


@pytest.mark.parametrize(
    "module", ["serving.runtimes.onnx_runtime", "export.compress.prepared_graph", "benchmarks.nms", "tests.conftest"]
)
def test_nothing_is_kept_to_be_sent(module: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in SUPPRESSING}
    program = f"import {module}; import onnxruntime; onnxruntime.get_available_providers()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name] == []
