"""The encoder of a captioner → the graph of the role `encoder`, checked beside the network that it was made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from export.to_onnx import SHAPE_TOLERANCE, write_onnx
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.errors import GateFailed
from tasks.image import ImageSpec
from tasks.task import largest_difference
from training.networks.captioner import Captioner

BATCH_SIZES = (1, 3, 32)
"""Sizes that the written graph is checked at: one, an odd one, the largest."""


def write_encoder(network: Captioner, image: ImageSpec, path: Path, opset: int = 20) -> None:
    """`image` → `features`, `embedding` as a float32 graph with a free batch. Raises GateFailed."""
    write_onnx(network, image, network.output_names, path, opset)
    check_encoder(network, image, path, BATCH_SIZES)


def check_encoder(network: Captioner, image: ImageSpec, path: Path, batch_sizes: Sequence[int], seed: int = 0) -> None:
    """Runs the graph at every batch size beside the network. Raises GateFailed naming the size that differs."""
    shape = (max(batch_sizes), image.height, image.width, 3)
    pictures = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    with torch.inference_mode():
        answers = network.eval()(torch.from_numpy(pictures))
    expected = {name: answer.numpy() for name, answer in zip(network.output_names, answers, strict=True)}
    runtime = OnnxRuntime(path)
    try:
        for size in batch_sizes:
            outputs = runtime.run({"image": pictures[:size]})
            for name, wanted in expected.items():
                limit = SHAPE_TOLERANCE * max(1e-6, float(np.abs(wanted).max()))
                if not largest_difference(wanted[:size], outputs[name]) <= limit:
                    raise GateFailed(f"the exported encoder goes wrong at batch size {size} in output {name!r}")
    finally:
        runtime.close()
