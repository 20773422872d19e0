"""The TrainJob's command on two nodes: here two processes that are told of each other as Kubeflow's runtime does it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from tests.e2e.mlflow_server import ROOT, free_port
from tests.tiny_corpus import write_texts

pytestmark = pytest.mark.e2e
TRAIN_JOB = ROOT / "deploy" / "kubernetes" / "components" / "training" / "distributed-train-job.yaml"
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
options = {width = 32, depth = 1, heads = 2, kv_heads = 1}
[optimiser]
learning_rate = 2e-2
[schedule]
epochs = 2
batch_size = 8
"""


def test_two_nodes_train_one_version(tmp_path: Path) -> None:
    trainer = yaml.safe_load(TRAIN_JOB.read_text(encoding="utf-8"))["spec"]["trainer"]
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (2, 1)
    assert trainer["command"] == ["sh", "-c"]
    script = trainer["args"][0].replace("torchrun", f"{sys.executable} -m torch.distributed.run")
    script = script.replace("stdlib-llama --set precision=bf16-mixed", "recipe.toml").replace("stdlib-llama", "tiny")
    write_texts(tmp_path / "corpus", 60)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    command = [*trainer["command"], script]
    port = free_port()
    nodes = [
        subprocess.Popen(
            command, cwd=tmp_path, env=environment(tmp_path, port, rank), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    said = [node.communicate(timeout=300) for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    store = f"sqlite:///{tmp_path / '.tidegate' / 'mlflow.db'}"
    found = MlflowClient(store, store).search_model_versions()
    assert [(version.name, str(version.version)) for version in found] == [("tiny-trained", "1")]


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
