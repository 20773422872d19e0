"""Training a language model in real processes: by the command line, killed and resumed; by torchrun, whole or cut into
shards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
import pytest
import torch

from tasks.generation import open_generative_task
from tests.tiny_corpus import write_texts
from training.checkpoint import load_checkpoint
from training.run import TrainedModel

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
RECIPE = """
name = "tiny"
task = "text_generation"
[data]
source = "files"
path = "corpus"
[text]
context = 24
tokenizer = {vocabulary = 280}
[model]
architecture = "llama"
options = {width = 32, depth = 2, heads = 2, kv_heads = 1}
[optimiser]
learning_rate = 2e-2
[schedule]
epochs = 4
batch_size = 8
"""
SCRIPT = """
import sys
from pathlib import Path
import msgspec
from training.recipe import load_recipe
from training.run import train
work = Path.cwd()
recipe = load_recipe("recipe.toml", [each for each in sys.argv[1:] if "=" in each])
trained = train(recipe, workdir=work, tracking_uri=f"sqlite:///{work}/mlflow.db", resume="--resume" in sys.argv)
# One write: the processes of a distributed training share this output.
sys.stdout.write(msgspec.json.encode(trained, enc_hook=str).decode() + chr(10))
"""
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "train.py")
COMMAND_LINE = (sys.executable, "-m", "tidegate", "train", "recipe.toml")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    write_texts(tmp_path / "corpus", 60)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "train.py").write_text(SCRIPT)
    return tmp_path


def start(work: Path, *command: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    environment |= {"PYTHONPATH": str(ROOT), "TIDEGATE_CACHE": str(work / "cache"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=work, env=environment, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return output


def kill_after_an_epoch(process: subprocess.Popen[str], work: Path) -> None:
    deadline = time.monotonic() + 180
    while not list(work.rglob("last.ckpt")):
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    # Those that torchrun starts would outlive it.
    started = psutil.Process(process.pid)
    for each in (started, *started.children(recursive=True)):
        each.kill()
    process.communicate()


def results(output: str) -> list[TrainedModel]:
    lines = [line for line in output.splitlines() if line.startswith("{")]
    return [msgspec.json.decode(line, type=TrainedModel, dec_hook=lambda kind, value: kind(value)) for line in lines]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder).module.state_dict()


def test_the_command_line_trains_and_resumes_what_was_killed(work: Path) -> None:
    longer = ("--set", "schedule.epochs=40")
    kill_after_an_epoch(start(work, *COMMAND_LINE, *longer), work)
    resumed = finish(start(work, *COMMAND_LINE, *longer, "--resume"))
    assert "test_below_kneser_ney" in resumed
    undisturbed = finish(start(work, *COMMAND_LINE, *longer))
    assert figures(undisturbed) == figures(resumed)
    folders = [path.parent for path in work.rglob("checkpoint.json") if (path.parent / "model.safetensors").exists()]
    assert len(folders) == 2
    first, second = (weights(folder) for folder in folders)
    assert all(torch.equal(first[name], second[name]) for name in first)
    # What was learnt can be asked, with the tokenizer that lies beside it.
    checkpoint = load_checkpoint(folders[0])
    task = open_generative_task(checkpoint.task_spec, checkpoint.folder)
    prompt = task.prompt("the blue bird")
    best = int(checkpoint.module(torch.tensor([prompt.tokens]))[0, -1].argmax())
    assert " flies".startswith(task.tokenizer.decode([best]))


def figures(table: str) -> dict[str, str]:
    """Every bits-per-byte figure of the command's table."""
    return dict(line.split() for line in table.splitlines() if "bits_per_byte" in line)


def test_shards_learn_the_same_as_whole_copies(work: Path) -> None:
    copies = results(finish(start(work, *TORCHRUN)))
    shards = results(finish(start(work, *TORCHRUN, "distribution=shard", "model.options.checkpoint_gradients=true")))
    assert copies[0] == copies[1]
    assert shards[0] == shards[1]
    assert copies[0].metrics["test_bits_per_byte"] < 1
    expected, found = weights(copies[0].folder), weights(shards[0].folder)
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("distribution", ["replicate", "shard"])
def test_two_processes_learn_in_bfloat16(work: Path, distribution: str) -> None:
    options = ("precision=bf16-mixed", "model.options.checkpoint_gradients=true", f"distribution={distribution}")
    first, second = results(finish(start(work, *TORCHRUN, *options)))
    assert first == second
    assert first.metrics["test_bits_per_byte"] < 1
    assert {weight.dtype for weight in weights(first.folder).values()} == {torch.float32}


def test_killed_shards_go_on_where_they_were(work: Path) -> None:
    command = (*TORCHRUN, "distribution=shard", "schedule.epochs=30")
    kill_after_an_epoch(start(work, *command), work)
    resumed = results(finish(start(work, *command, "--resume")))
    whole = results(finish(start(work, *command)))
    first, second = weights(resumed[0].folder), weights(whole[0].folder)
    assert all(torch.equal(first[name], second[name]) for name in first)
