"""A detector built by hand, that looks at the brightness of sixteen fixed cells: for tests that need some boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from registry.package import ModelPackage
from tasks.detection import DetectionSpec
from tasks.image import ImageSpec
from tests.handmade import Handmade, package_around
from tests.handmade_segmentation import encoded_patches

LABELS = ("middling", "light")
BRIGHTNESS = (128 / 255, 235 / 255)
"""Of a cell that surely holds each class; a dark one holds nothing."""
CELLS = 4
"""Along each axis, of equal size."""
DETECTOR = Handmade(name="cells")


def cell_boxes(size: int) -> np.ndarray:
    """xyxy of every cell in an input of size × size, float32 [16, 4], row by row."""
    step = size / CELLS
    top, left = np.mgrid[0:CELLS, 0:CELLS].reshape(2, -1) * step
    return np.stack([left, top, left + step, top + step], axis=1).astype(np.float32)


def cell_graph(size: int) -> onnx.ModelProto:
    """`image` UINT8 [batch, size, size, 3] → `boxes` [batch, 16, 4], always the same, `scores` [batch, 16, 2] by
    brightness: 1 − 4·|brightness − that of the class|; `embedding` [batch, 16], the brightness of every cell."""
    constants = {
        "scale": np.float32(1 / 255),
        "channels": np.array([1], np.int64),
        "by_cell": np.array([-1, CELLS**2], np.int64),
        "by_class": np.array([-1, CELLS**2, 1], np.int64),
        "centres": np.array(BRIGHTNESS, np.float32),
        "slope": np.float32(-4),
        "zero": np.float32(0),
        "one": np.float32(1),
        "nothing": np.array([0], np.float32),
        "cells": cell_boxes(size)[None],
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("ReduceMean", ["planes", "channels"], ["grey"], keepdims=1),
        helper.make_node(
            "AveragePool", ["grey"], ["pooled"], kernel_shape=[size // CELLS] * 2, strides=[size // CELLS] * 2
        ),
        helper.make_node("Reshape", ["pooled", "by_cell"], ["embedding"]),
        helper.make_node("Reshape", ["pooled", "by_class"], ["brightness"]),
        helper.make_node("Sub", ["brightness", "centres"], ["difference"]),
        helper.make_node("Abs", ["difference"], ["distance"]),
        helper.make_node("Mul", ["distance", "slope"], ["falling"]),
        helper.make_node("Add", ["falling", "one"], ["unbounded"]),
        helper.make_node("Clip", ["unbounded", "zero", "one"], ["scores"]),
        # Zero for every picture of the batch, so that the constant boxes get their batch axis.
        helper.make_node("Mul", ["brightness", "nothing"], ["zeros"]),
        helper.make_node("Add", ["zeros", "cells"], ["boxes"]),
    ]
    graph = helper.make_graph(
        nodes,
        "cells",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", size, size, 3])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["batch", CELLS**2, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", CELLS**2, len(LABELS)]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", CELLS**2]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def build_detector(folder: Path, knobs: Handmade = DETECTOR) -> ModelPackage:
    """A complete package of it, golden set, evidence and profile included."""
    spec = DetectionSpec(labels=LABELS, image=ImageSpec(height=knobs.size, width=knobs.size))
    return package_around(folder, spec, cell_graph(knobs.size), knobs, encoded_patches)
