"""Detectors built by hand: random convolutions whose boxes overlap a lot, for tests of what follows a detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from tasks.image import ImageSpec

STRIDE = 8
BOXES_PER_CELL = 3
DETECTOR = """
<ir_version: 10, opset_import: ["" : 20]>
detector (uint8[batch, {height}, {width}, 3] image) => (
  float[batch, {k}, 4] boxes, float[batch, {k}, {c}] scores, float[batch, {channels}] embedding
) {{
  pixels = Cast <to = 1> (image)
  planes = Transpose <perm = [0, 3, 1, 2]> (pixels)
  maps = Conv <strides = [8, 8]> (planes, kernel, bias)
  shape = Constant <value_ints = [0, {per_box}, {k}]> ()
  columns = Reshape (maps, shape)
  rows = Transpose <perm = [0, 2, 1]> (columns)
  four = Constant <value_ints = [4, {c}]> ()
  shifts, logits = Split <axis = 2> (rows, four)
  boxes = Add (shifts, anchors)
  scores = Sigmoid (logits)
  embedding_axes = Constant <value_ints = [2, 3]> ()
  embedding = ReduceMean <keepdims = 0> (maps, embedding_axes)
}}
"""


def write_detector(path: Path, image: ImageSpec, num_classes: int, seed: int = 0) -> None:
    """`image` UINT8 [batch, H, W, 3] → `boxes` FP32 [batch, K, 4], `scores` FP32 [batch, K, C], `embedding`. Scores of
    noise lie around 0.2, between nearly 0 and nearly 1; many are equal, as they are rounded by a coarse kernel."""
    rng = np.random.default_rng(seed)
    rows, columns = image.height // STRIDE, image.width // STRIDE
    per_box, count = 4 + num_classes, rows * columns * BOXES_PER_CELL
    kernel = rng.normal(0, 1.2 / 255, (per_box * BOXES_PER_CELL, 3, STRIDE, STRIDE)).astype(np.float32)
    bias = np.full(len(kernel), -1.5, np.float32)
    model = onnx.parser.parse_model(
        DETECTOR.format(
            height=image.height, width=image.width, k=count, c=num_classes, per_box=per_box, channels=len(kernel)
        )
    )
    constants = {"kernel": kernel, "bias": bias, "anchors": anchors(rows, columns)}
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    onnx.checker.check_model(model)
    onnx.save(model, path)


def anchors(rows: int, columns: int) -> np.ndarray:
    """float32 [BOXES_PER_CELL · rows · columns, 4]: boxes of three sizes around every cell, reaching out of the picture
    at its edges."""
    y, x = np.mgrid[:rows, :columns].reshape(2, -1) * STRIDE + STRIDE / 2
    sizes = np.array([[10, 10], [14, 20], [28, 18]])
    return np.concatenate([np.stack([x - w, y - h, x + w, y + h], 1) for w, h in sizes]).astype(np.float32)
