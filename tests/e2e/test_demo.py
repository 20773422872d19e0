"""The demo as a user runs it: the whole loop with real processes, from an empty folder to a summary."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


@pytest.mark.e2e
def test_demo_goes_the_whole_way_and_cleans_up(tmp_path: Path, require_tool: Callable[[str], str]) -> None:
    require_tool("curl")
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", "demo", "--once"],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout
    spoilt = dict.fromkeys(("digits", "scenes-detection", "scenes-segmentation", "scenes-captioning"), "with noise")
    for model, fault in {**spoilt, "stdlib-llama": "in capitals"}.items():
        assert f"{model}@champion is version 1" in shown
        assert re.search(rf"{model}: 300 \w+ as in training: steady", shown)
        assert re.search(rf"{model}: 300 \w+ {fault}: drift", shown)
    assert re.search(r'"label":"\d"', shown), "curl's answer"
    for protocol in ("http", "grpc"):
        assert re.search(rf"tritonclient\.{protocol}: \d with", shown)
        assert re.search(rf"tritonclient\.{protocol}: \d+ objects", shown)
        assert re.search(rf"tritonclient\.{protocol}: \d+ classes on", shown)
        assert re.search(rf"tritonclient\.{protocol}: \w+ digits?: an? \d", shown), "a caption"
        assert re.search(rf"tritonclient\.{protocol}: ['\"]", shown), "a text"
    assert re.search(r'"captions":\[\{"text":"\w+ digits?: an? \d', shown), "curl's captions"
    assert re.search(r"streamed from /v1/completions: Return the number of .{20,}", shown)
    for verb in ("detect", "segment"):
        with Image.open(tmp_path / ".tidegate" / f"demo-{verb}.jpg") as drawn:
            assert drawn.format == "JPEG"
    for variant in ("trained", "fp32", "int8", "fp32_nms"):
        assert re.search(rf"^ *{variant} +\d+\.\d+ %", shown, re.MULTILINE)
    assert re.search(r"^ *int4 +\d\.\d+ ", shown, re.MULTILINE), "bits per byte"
    assert re.search(r"requests per second +digits \d+", shown)
    assert re.search(r"http://127\.0\.0\.1:\d+/console#token=[\w-]+\s*\Z", shown), (
        "the last line is the console's address"
    )
    assert "stopped" in (tmp_path / ".tidegate" / "demo-server.log").read_text(encoding="utf-8")
    assert not (tmp_path / "mlruns").exists()
    assert os.listdir(tmp_path) == [".tidegate"]
