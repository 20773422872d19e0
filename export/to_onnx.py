"""A torch module → an ONNX graph whose batch is free, checked at the batch sizes that will be served."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from export.separate_scales import separate_scales
from export.subject import Reference
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.errors import GateFailed
from tasks.image import ImageSpec
from tasks.task import Task

EXAMPLE_BATCH = 2
"""torch.export treats a dimension of size 1 as a constant."""
MAX_BATCH = 65_536
SHAPE_TOLERANCE = 1e-3
"""Relative to the largest output: only a broken graph is this far off. Fine judgement is left to verify.py."""


def write_onnx(
    module: torch.nn.Module, image: ImageSpec, output_names: Sequence[str], path: Path, opset: int = 20
) -> None:
    """Exports a module taking uint8 [batch, height, width, 3] and answering a tensor per output name.

    Raises GateFailed where the exporter cannot follow the module.
    """
    example = torch.zeros(EXAMPLE_BATCH, image.height, image.width, 3, dtype=torch.uint8)
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    try:
        with quiet(), torch.inference_mode():
            program = torch.onnx.export(
                separate_scales(module.eval()),
                (example,),
                input_names=["image"],
                output_names=list(output_names),
                opset_version=opset,
                dynamo=True,
                dynamic_shapes=({0: batch},),
                verbose=False,
            )
    except Exception as error:  # the exporter raises whatever its passes raise
        raise GateFailed(f"torch.onnx can not export {type(module).__name__} at opset {opset}: {error}") from error
    assert program is not None
    graph = program.model.graph
    # A named Dim is said to raise where the batch can not be free; torch 2.13 was seen to fix it without a word.
    fixed = [v.name for v in (*graph.inputs, *graph.outputs) if not v.shape or isinstance(v.shape[0], int)]
    if fixed:
        raise GateFailed(
            f"{type(module).__name__} does not leave the batch free: {', '.join(map(str, fixed))} got a fixed size. "
            "Look for a shape written out in its forward, or one computed in Python from the batch"
        )
    program.save(path, external_data=False)


def check_batches(reference: Reference, task: Task, path: Path, batch_sizes: Sequence[int], seed: int = 0) -> None:
    """Runs the graph at every batch size beside the module. Raises GateFailed naming the size that differs."""
    image = task.image_spec
    pictures = np.random.default_rng(seed).integers(
        0, 256, (max(batch_sizes), image.height, image.width, 3), dtype=np.uint8
    )
    expected = reference({"image": pictures})
    limits = {name: SHAPE_TOLERANCE * max(1e-6, float(np.abs(wanted).max())) for name, wanted in expected.items()}
    runtime = OnnxRuntime(path)
    try:
        for size in batch_sizes:
            outputs = runtime.run({"image": pictures[:size]})
            for index in range(size):
                wanted = {name: array[index] for name, array in expected.items()}
                far = task.differences(wanted, {name: array[index] for name, array in outputs.items()})
                for name in (name for name, distance in far.items() if not distance <= limits[name]):
                    raise GateFailed(f"the exported graph goes wrong at batch size {size} in output {name!r}")
    finally:
        runtime.close()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Exporters print, warn and log about their own insides; what matters comes back as an exception."""
    exporter, root = logging.getLogger("torch.onnx"), logging.getLogger()
    levels = exporter.level, root.level
    exporter.setLevel(logging.ERROR)
    root.setLevel(max(root.level, logging.ERROR))
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(levels[0])
        root.setLevel(levels[1])
