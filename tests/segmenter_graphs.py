"""A segmenter beside its graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from export.to_onnx import write_onnx
from serving.runtimes.onnx_runtime import OnnxRuntime
from tasks.image import ImageSpec
from training.networks.network import Network


def assert_graph_answers_alike(network: Network, image: ImageSpec, path: Path) -> None:
    """At a batch of one and of three: the same masks but for ties, the same numbers but for rounding."""
    write_onnx(network, image, network.output_names, path)
    pictures = np.random.default_rng(0).integers(0, 256, (3, image.height, image.width, 3), np.uint8)
    with torch.inference_mode():
        mask, confidence, embedding = (output.numpy() for output in network.eval()(torch.from_numpy(pictures)))
    runtime = OnnxRuntime(path)
    try:
        for size in (1, 3):
            outputs = runtime.run({"image": pictures[:size]})
            assert outputs["mask"].dtype == np.uint8
            assert np.mean(outputs["mask"] == mask[:size]) > 0.99
            np.testing.assert_allclose(outputs["confidence"], confidence[:size], atol=0.01)
            np.testing.assert_allclose(outputs["embedding"], embedding[:size], atol=1e-4)
    finally:
        runtime.close()
