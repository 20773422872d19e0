"""A package as MLflow runs it: the loader behind `mlflow.pyfunc.load_model` and `mlflow models serve`.

The registry writes the name of this module into what it registers; MLflow calls `_load_pyfunc`. Nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from registry.package import ModelPackage, open_package
from serving.runtimes.onnx_runtime import OnnxRuntime
from serving.self_test import replay_golden
from serving.variants import AUTO, choose_variant, detect_host
from tasks.errors import BadInput
from tasks.task import ParamValue, open_task

COLUMN = "encoded_image"


class PyfuncModel:
    """One variant of a package, proved on this host, answering one picture at a time."""

    def __init__(self, package: ModelPackage) -> None:
        variant = choose_variant(package, AUTO, detect_host())
        self.task = open_task(package.task_spec_of(variant))
        provider = package.variant(variant).requires.provider
        self.runtime = OnnxRuntime(package.graph_path(variant), provider)
        replay_golden(package, variant, self.task, self.runtime)

    def predict(self, model_input: Any, params: Mapping[str, ParamValue | None] | None = None) -> list[Any]:
        """`model_input`: a data frame (or mapping) with a column `encoded_image` of bytes, or a list of bytes.

        Returns the task's predictions as plain dictionaries (bytes in them as base64). Raises BadInput.
        """
        # MLflow fills in what the caller left out, with None.
        options = self.task.parse_params({name: value for name, value in (params or {}).items() if value is not None})
        if options.wants_overlay:
            raise BadInput("parameter 'overlay' asks for a drawing, and this answers data: leave it out")
        answers = []
        for payload in payloads_of(model_input):
            sample = self.task.sample_from_bytes(payload)
            tensors = {name: array[None] for name, array in self.task.preprocess(sample).items()}
            outputs = {name: array[0] for name, array in self.runtime.run(tensors).items()}
            answers.append(msgspec.to_builtins(self.task.decode_output(outputs, sample, options)))
        return answers


def payloads_of(model_input: Any) -> list[bytes]:
    """MLflow hands over a data frame, whatever the caller sent; tests and notebooks a list."""
    try:
        column = model_input if isinstance(model_input, list | tuple) else list(model_input[COLUMN])
    except (KeyError, IndexError, TypeError) as error:
        raise BadInput(f"expected a column {COLUMN!r} of encoded pictures, got {type(model_input).__name__}") from error
    for payload in column:
        if not isinstance(payload, bytes):
            raise BadInput(f"column {COLUMN!r} must hold bytes (base64 in JSON), got {type(payload).__name__}")
    return list(column)


def _load_pyfunc(path: str) -> PyfuncModel:
    """MLflow's entry point; `path` is the package's folder."""
    return PyfuncModel(open_package(Path(path)))
