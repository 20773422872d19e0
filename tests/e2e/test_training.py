"""Training in real processes: killed and resumed, and spread over two by torchrun."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
import torch

from training.checkpoint import load_checkpoint
from training.run import TrainedModel

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
RECIPE = """
name = "tiny"
ema_decay = 0.9
[data]
source = "digits"
[image]
height = 8
width = 8
[model]
architecture = "resnet"
[model.options]
depths = [1]
widths = [8]
stem = "small"
[schedule]
epochs = {epochs}
batch_size = 32
"""
SCRIPT = """
import sys
from pathlib import Path
import msgspec
from training.recipe import load_recipe
from training.run import train
work, resume = Path(sys.argv[1]), "--resume" in sys.argv
recipe = load_recipe(work / "recipe.toml")
trained = train(recipe, workdir=work, tracking_uri=f"sqlite:///{work}/mlflow.db", resume=resume)
# One write: the processes of a distributed training share this output.
sys.stdout.write(msgspec.json.encode(trained, enc_hook=str).decode() + chr(10))
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(SCRIPT)
    return tmp_path


def environment(work: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "TIDEGATE_CACHE": str(work / "cache"), "OMP_NUM_THREADS": "1"}


def start(work: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(work / "train.py"), str(work), *arguments]
    return subprocess.Popen(command, cwd=work, env=environment(work), stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> TrainedModel:
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0
    return read_result(output.splitlines()[-1])


def read_result(line: str) -> TrainedModel:
    return msgspec.json.decode(line, type=TrainedModel, dec_hook=lambda kind, value: kind(value))


def test_a_killed_training_resumes_to_the_weights_it_would_have_had(work: Path, tmp_path_factory) -> None:
    (work / "recipe.toml").write_text(RECIPE.format(epochs=40))
    process = start(work)
    last = None
    deadline = time.monotonic() + 120
    while last is None or not last.exists():
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline
        last = next(work.glob("training/*/last.ckpt"), None)
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not list(work.glob("training/*/result.json"))
    resumed = finish(start(work, "--resume"))

    undisturbed = tmp_path_factory.mktemp("undisturbed")
    for name in ("recipe.toml", "train.py"):
        (undisturbed / name).write_text((work / name).read_text())
    whole = finish(start(undisturbed))
    first, second = (load_checkpoint(trained.folder).module.state_dict() for trained in (resumed, whole))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert {path.name for path in undisturbed.iterdir()} == {
        "recipe.toml", "train.py", "cache", "training", "artifacts", "mlflow.db", "mlflow.db.lock"
    }  # fmt: skip


def test_two_processes_train_one_model(work: Path) -> None:
    (work / "recipe.toml").write_text(RECIPE.format(epochs=6))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*torchrun, str(work / "train.py"), str(work)]
    finished = subprocess.run(command, cwd=work, env=environment(work), capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr[-3000:]
    results = [read_result(line) for line in finished.stdout.splitlines() if line.startswith("{")]
    assert len(results) == 2
    assert results[0] == results[1]
    assert results[0].version == 1
    assert results[0].metrics["val_accuracy"] > 0.3
    assert load_checkpoint(results[0].folder).facts.split_sizes["train"] == 1079
