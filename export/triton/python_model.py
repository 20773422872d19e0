"""A graph in ONNX Runtime, as a model of Triton's Python backend: for a Triton without an ONNX Runtime of its own.

Copied beside the graph as model.py. The Python that runs the backend needs numpy and onnxruntime, and nothing of ours.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

# Read when it is loaded: without it ONNX Runtime tells its makers what it runs.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton  # type: ignore[import-not-found]


class TritonPythonModel:
    """One instance of one version. Triton calls it from one thread."""

    def initialize(self, args: dict[str, str]) -> None:
        graph = Path(args["model_repository"], args["model_version"], "model.onnx")
        options = onnxruntime.SessionOptions()
        # Between two batches the cores are for whoever wants them.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        self.inputs = [tensor["name"] for tensor in json.loads(args["model_config"])["input"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Requests that Triton batched, of [rows, …] each → their responses, after one run of all rows."""
        parts = {
            name: [triton.get_input_tensor_by_name(request, name).as_numpy() for request in requests]
            for name in self.inputs
        }
        ends = np.cumsum([len(array) for array in parts[self.inputs[0]]])
        names = sorted({name for request in requests for name in request.requested_output_names()})
        outputs = self.session.run(names, {name: np.concatenate(arrays) for name, arrays in parts.items()})
        by_name = {name: np.split(output, ends[:-1]) for name, output in zip(names, outputs, strict=True)}
        return [
            triton.InferenceResponse(
                [triton.Tensor(name, by_name[name][index]) for name in request.requested_output_names()]
            )
            for index, request in enumerate(requests)
        ]
