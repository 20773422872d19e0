"""What some peers read from files: MLServer's settings, MLflow's saved model, Triton's repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.peers.stand import ROOT, Stand, program
from benchmarks.processes import free_port

APPS = Path(__file__).parent / "apps"
TRITON_PICTURES = "pictures"
"""The model that takes encoded pictures: Triton's inputs are fixed for each model."""


def write_mlserver(stand: Stand) -> None:
    """settings.json and model-settings.json: no worker processes, which on one core would only pass tensors around."""
    chosen = stand.settings
    server = {
        "host": "127.0.0.1",
        "http_port": free_port(),
        "grpc_port": chosen.port,
        "metrics_endpoint": None,
        "parallel_workers": 0,
        "debug": False,
    }
    model = {
        "name": stand.model,
        "implementation": "benchmarks.peers.apps.mlserver_app.ClassifierRuntime",
        "max_batch_size": chosen.max_batch,
        "max_batch_time": chosen.max_wait_ms / 1000,
    }
    (stand.folder / "settings.json").write_text(json.dumps(server))
    (stand.folder / "model-settings.json").write_text(json.dumps(model))


def save_mlflow(stand: Stand) -> None:
    """MLflow itself writes its model. Raises CalledProcessError."""
    command = [program("mlflow", "python"), "-m", "benchmarks.peers.apps.mlflow_app", str(stand.folder / "model")]
    environment = {**os.environ, **stand.settings.variables(), "PYTHONPATH": str(ROOT)}
    subprocess.run(command, env=environment, cwd=stand.folder, check=True, capture_output=True)


def write_triton(stand: Stand) -> None:
    """Two models over one graph, one for each kind of input, batched by Triton."""
    side = stand.settings.size
    write_triton_model(stand, stand.model, f'name: "image" data_type: TYPE_UINT8 dims: [{side}, {side}, 3]')
    write_triton_model(stand, TRITON_PICTURES, 'name: "encoded_image" data_type: TYPE_STRING dims: [1]')


def write_triton_model(stand: Stand, name: str, tensor: str) -> None:
    version = stand.folder / "repository" / name / "1"
    version.mkdir(parents=True)
    shutil.copy(APPS / "triton_model.py", version / "model.py")
    # The backend's Python ignores PYTHONPATH and looks beside model.py.
    (version / "benchmarks").symlink_to(ROOT / "benchmarks")
    (version.parent / "config.pbtxt").write_text(
        f"""name: "{name}"
backend: "python"
max_batch_size: {stand.settings.max_batch}
input [ {{ {tensor} }} ]
output [ {{ name: "logits" data_type: TYPE_FP32 dims: [-1] }} ]
dynamic_batching {{ max_queue_delay_microseconds: {round(stand.settings.max_wait_ms * 1000)} }}
instance_group [ {{ kind: KIND_CPU count: 1 }} ]
"""
    )
