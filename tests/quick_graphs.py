"""Graphs of tiny networks by torch's exporter of before, which takes a tenth of the time of today's.

For tests of what steps leave in a graph and in a package; that of `export.to_onnx` has its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor, nn

from export.separate_scales import separate_scales
from export.subject import Subject
from export.to_onnx import quiet
from tasks.image import ImageSpec
from tasks.task import open_task
from training.networks.network import Network, Trainable


def write_quickly(network: Network, height: int, width: int, path: Path) -> None:
    """A network in evaluation mode as a float32 graph that takes any number of pictures."""
    example, free = torch.zeros(2, height, width, 3, dtype=torch.uint8), {0: "batch"}
    names = [*network.output_names]
    with quiet(), torch.inference_mode(), patch.object(nn.functional, "rms_norm", plain_rms_norm):
        torch.onnx.export(
            separate_scales(network),
            (example,),
            path,
            input_names=["image"],
            output_names=names,
            dynamic_axes=dict.fromkeys(["image", *names], free),
            opset_version=18,
            dynamo=False,
        )


def write_onnx_quickly(network: Network, image: ImageSpec, output_names: Sequence[str], path: Path, opset: int) -> None:
    """In the place of `export.to_onnx.write_onnx`, for tests that patch it."""
    write_quickly(network, image.height, image.width, path)


def plain_rms_norm(x: Tensor, shape: Sequence[int], weight: Tensor, eps: float) -> Tensor:
    """In operators that the exporter of before knows."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight


def with_quick_graphs(subject: Subject, network: Network) -> Subject:
    """The same, of this network, with graphs that are written quickly."""
    image = open_task(subject.task_spec).image_spec

    def write(changed: Trainable, path: Path, opset: int) -> None:
        assert isinstance(changed, Network)
        write_quickly(changed, image.height, image.width, path)

    assert subject.learnt is not None
    return replace(
        subject,
        write_graph=lambda path, opset: write(network, path, opset),
        learnt=replace(subject.learnt, write_graph=write),
    )
