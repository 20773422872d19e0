"""The life of a model, one command a step, on the embedded store: train, export, promote, list, predict, roll back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from training.data.config import DigitsConfig
from training.data.digits import open_digits

ROOT = Path(__file__).parents[2]
NUM_PICTURES = 50


def tidegate(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return subprocess.run(
        [sys.executable, "-m", "tidegate", *arguments],
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.e2e
def test_a_model_from_recipe_to_predictions(tmp_path: Path) -> None:
    def succeed(*arguments: str) -> str:
        done = tidegate(tmp_path, *arguments)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    assert tidegate(tmp_path, "export", "digits").returncode == 3
    assert "val_accuracy" in succeed("train", "digits-smoke", "--set", "schedule.epochs=8")
    assert "int8" in succeed("export", "digits", "--recipe", "quick")
    assert tidegate(tmp_path, "predict", "digits", ".").returncode == 3
    assert "digits@champion is version 1" in succeed("promote", "digits")
    (version,) = json.loads(succeed("models", "--json"))
    assert (version["name"], version["version"], version["aliases"]) == ("digits", "1", ["champion"])

    examples = list(open_digits(DigitsConfig()).split("test"))[:NUM_PICTURES]
    (tmp_path / "pictures").mkdir()
    for index, example in enumerate(examples):
        (tmp_path / "pictures" / f"{index:03}.png").write_bytes(example.payload)
    succeed("predict", "digits", "pictures", "--out", "results.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    answers = [row["prediction"]["classes"][0]["class_id"] for row in rows]
    assert sum(answer == example.target for answer, example in zip(answers, examples, strict=True)) > 0.8 * NUM_PICTURES

    succeed("rollback", "digits")
    assert [event["action"] for event in json.loads(succeed("history", "digits", "--json"))] == ["promote", "rollback"]
    assert not (tmp_path / "mlruns").exists()
