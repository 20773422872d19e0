"""A package as MLflow runs it: the loader behind `mlflow.pyfunc.load_model` and `mlflow models serve`.

The registry writes the name of this module into what it registers; MLflow calls `_load_pyfunc`. Nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from registry.package import ModelPackage, open_package
from serving.generation.self_test import replay_prompts
from serving.generative_loader import open_generative
from serving.model_kinds import generates
from serving.offline_generator import OfflineGenerator
from serving.open_runtime import open_runtime
from serving.runtimes.compute_threads import ONE_THREAD, ComputeThreads
from serving.self_test import replay_golden
from serving.variants import AUTO, choose_variant, detect_host
from serving.workers import available_cpus
from tasks.errors import BadInput, TidegateError
from tasks.task import ParamValue, open_task


class Column(NamedTuple):
    """What a caller sends."""

    name: str
    type: type
    content: str


PICTURES = Column("encoded_image", bytes, "bytes (base64 in JSON), one encoded picture each")
PROMPTS = Column("text_input", str, "texts")
Options = Mapping[str, ParamValue | None] | None


class PyfuncModel:
    """One variant of a package, proved on this host, answering one picture at a time."""

    def __init__(self, package: ModelPackage) -> None:
        variant = choose_variant(package, AUTO, detect_host())
        self.task = open_task(package.task_spec_of(variant))
        self.runtime = open_runtime(package, variant, ONE_THREAD)
        replay_golden(package, variant, self.task, self.runtime)

    def predict(self, model_input: Any, params: Options = None) -> list[Any]:
        """`model_input`: a data frame (or mapping) with a column `encoded_image` of bytes, or a list of bytes.

        Returns the task's predictions as plain dictionaries (bytes in them as base64). Raises BadInput.
        """
        options = self.task.parse_params(given(params))
        if options.wants_overlay:
            raise BadInput("parameter 'overlay' asks for a drawing, and this answers data: leave it out")
        answers = []
        for payload in payloads_of(model_input, PICTURES):
            sample = self.task.sample_from_bytes(payload)
            tensors = {name: array[None] for name, array in self.task.preprocess(sample).items()}
            outputs = {name: array[0] for name, array in self.runtime.run(tensors).items()}
            answers.append(msgspec.to_builtins(self.task.decode_output(outputs, sample, options)))
        return answers


class GenerativePyfuncModel:
    """The same of a package that generates; it works on as many prompts or pictures at once as it has slots."""

    def __init__(self, package: ModelPackage) -> None:
        variant = choose_variant(package, AUTO, detect_host())
        graphs = open_generative(package, variant, package.manifest.batch_buckets[-1], ComputeThreads(available_cpus()))
        replay_prompts(package, variant, graphs.task, graphs.decoder, graphs.encoder)
        self.task, self.generator = graphs.task, OfflineGenerator(graphs)
        self.column = PROMPTS if graphs.encoder is None else PICTURES

    def predict(self, model_input: Any, params: Options = None) -> list[Any]:
        """`model_input`: a data frame (or mapping) with a column `text_input` of texts, or `encoded_image` of bytes
        where the model takes pictures; or a list of either.

        Returns the task's predictions as plain dictionaries. Raises BadInput, or what else the first one met with."""
        options = self.task.parse_params(given(params))
        answers = self.generator.predict(payloads_of(model_input, self.column), options)
        for answer in answers:
            if isinstance(answer, TidegateError):
                raise answer
        return [msgspec.to_builtins(answer) for answer in answers]


def given(params: Options) -> dict[str, ParamValue]:
    """MLflow fills in what the caller left out, with None."""
    return {name: value for name, value in (params or {}).items() if value is not None}


def payloads_of(model_input: Any, column: Column) -> list[bytes]:
    """MLflow hands over a data frame, whatever the caller sent; tests and notebooks a list. Texts become UTF-8."""
    try:
        values = model_input if isinstance(model_input, list | tuple) else list(model_input[column.name])
    except (KeyError, IndexError, TypeError) as error:
        got = type(model_input).__name__
        raise BadInput(f"expected a column {column.name!r} of {column.content}, got {got}") from error
    for value in values:
        if not isinstance(value, column.type):
            raise BadInput(f"column {column.name!r} must hold {column.content}, got {type(value).__name__}")
    try:
        return [value.encode() if isinstance(value, str) else value for value in values]
    except UnicodeEncodeError as error:
        raise BadInput(f"column {column.name!r} holds a text that is no Unicode: {error}") from error


def _load_pyfunc(path: str) -> PyfuncModel | GenerativePyfuncModel:
    """MLflow's entry point; `path` is the package's folder."""
    package = open_package(Path(path))
    return GenerativePyfuncModel(package) if generates(package) else PyfuncModel(package)
