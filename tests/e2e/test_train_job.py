"""The TrainJob's command on two nodes: here two processes that are told of each other as Kubeflow's runtime does it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from mlflow import MlflowClient

from tests.e2e.mlflow_server import ROOT, free_port
from tests.tiny_corpus import write_texts

pytestmark = pytest.mark.e2e
TRAIN_JOB = ROOT / "deploy" / "kubernetes" / "components" / "training" / "distributed-train-job.yaml"
NUM_EPOCHS = 30
RECIPE = f"""
name = "tiny"
task = "text_generation"
[data]
source = "files"
path = "corpus"
[text]
context = 24
tokenizer = {{vocabulary = 280}}
[model]
architecture = "llama"
options = {{width = 32, depth = 1, heads = 2, kv_heads = 1}}
[optimiser]
learning_rate = 2e-2
[schedule]
epochs = {NUM_EPOCHS}
batch_size = 8
"""


def test_two_nodes_train_one_version_and_go_on_where_they_were_killed(tmp_path: Path) -> None:
    trainer = yaml.safe_load(TRAIN_JOB.read_text(encoding="utf-8"))["spec"]["trainer"]
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (2, 1)
    program, *rest, recipe = trainer["command"]
    assert (program, recipe) == ("torchrun", "stdlib-llama")
    command = [sys.executable, "-m", "torch.distributed.run", *rest, "recipe.toml"]
    command.remove("precision=bf16-mixed")
    command.remove("--set")
    # Of another recipe of this name: it is none of theirs.
    (tmp_path / ".tidegate" / "training" / "tiny-000000000000").mkdir(parents=True)
    (tmp_path / ".tidegate" / "training" / "tiny-000000000000" / "run.json").write_text("{}")
    write_texts(tmp_path / "corpus", 60)
    (tmp_path / "recipe.toml").write_text(RECIPE)

    nodes = start_nodes(command, tmp_path)
    give_up_at = time.monotonic() + 300
    while not list(tmp_path.glob(".tidegate/training/tiny-*/last.ckpt")):
        assert time.monotonic() < give_up_at
        assert [node.poll() for node in nodes] == [None, None], [node.communicate() for node in nodes]
        time.sleep(0.01)
    for node in nodes:
        kill_with_all_it_started(node)

    nodes = start_nodes(command, tmp_path)
    said = [node.communicate(timeout=300) for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    store = f"sqlite:///{tmp_path / '.tidegate' / 'mlflow.db'}"
    client = MlflowClient(store, store)
    (version,) = client.search_model_versions()
    assert (version.name, str(version.version)) == ("tiny-trained", "1")
    (experiment,) = client.search_experiments(filter_string="name = 'tiny-training'")
    assert [run.info.run_id for run in client.search_runs([experiment.experiment_id])] == [version.run_id], "one run"
    steps = [one.step for one in client.get_metric_history(version.run_id, "train_loss")]
    assert sorted(steps) == [*range(1, NUM_EPOCHS + 1)], "no epoch twice"


def kill_with_all_it_started(node: subprocess.Popen[str]) -> None:
    """As a pod ends: torchrun gives each of its workers a session of its own."""
    node_and_workers = [*psutil.Process(node.pid).children(recursive=True), psutil.Process(node.pid)]
    for process in node_and_workers:
        process.kill()
    node.communicate()


def start_nodes(command: list[str], work: Path) -> list[subprocess.Popen[str]]:
    port = free_port()
    return [
        subprocess.Popen(
            command, cwd=work, env=environment(work, port, rank), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]  # fmt: skip


def environment(work: Path, port: int, rank: int) -> dict[str, str]:
    """Of one node: how many there are, which this is, and where the first one waits for the others."""
    told = {"NNODES": "2", "NPROC_PER_NODE": "1", "NODE_RANK": str(rank), "MASTER_ADDR": "127.0.0.1"}
    kept = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return {
        **kept,
        **{f"PET_{name}": value for name, value in told.items()},
        "PET_MASTER_PORT": str(port),
        "PYTHONPATH": str(ROOT),
        "TIDEGATE_CACHE": str(work / "cache"),
        "OMP_NUM_THREADS": "1",
    }
