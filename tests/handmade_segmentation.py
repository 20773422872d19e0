"""A segmenter built by hand, that goes by the brightness of each pixel: for tests that need some mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from registry.package import ModelPackage
from tasks.image import ImageSpec
from tasks.segmentation import SegmentationSpec
from tests.handmade import Handmade, package_around
from tests.pictures import encode, patches

LABELS = ("background", "middling", "light")
BRIGHTNESS = (20 / 255, 128 / 255, 235 / 255)
"""Of a pixel in the middle of each class."""
SEGMENTER = Handmade(name="patches")


def encoded_patches(seed: int) -> bytes:
    """Sixteen patches of all three classes, as a client would send them."""
    return encode(patches(seed), "JPEG")


def brightness_graph(size: int) -> onnx.ModelProto:
    """`image` UINT8 [batch, size, size, 3] → `mask` UINT8 [batch, size, size], `confidence` [batch, 3] and `embedding`
    [batch, 3], the mean probability of each class."""
    centres = np.array([BRIGHTNESS], np.float32)
    constants = {
        "scale": np.float32(1 / 255),
        "weight": 2 * 40 * centres,  # −40·(brightness − centre)² up to a term that is the same for every class
        "bias": -40 * centres[0] ** 2,
        "channels": np.array([3], np.int64),
        "pixels": np.array([1, 2], np.int64),
        "one": np.float32(1),
        "depth": np.int64(len(LABELS)),
        "off_on": np.array([0, 1], np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["scaled"]),
        helper.make_node("ReduceMean", ["scaled", "channels"], ["brightness"], keepdims=1),
        helper.make_node("MatMul", ["brightness", "weight"], ["weighted"]),
        helper.make_node("Add", ["weighted", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        helper.make_node("ArgMax", ["logits"], ["class_ids"], axis=-1, keepdims=0),
        helper.make_node("Cast", ["class_ids"], ["mask"], to=TensorProto.UINT8),
        helper.make_node("OneHot", ["class_ids", "depth", "off_on"], ["is_class"], axis=-1),
        helper.make_node("Mul", ["probabilities", "is_class"], ["own_probabilities"]),
        helper.make_node("ReduceSum", ["own_probabilities", "pixels"], ["sums"], keepdims=0),
        helper.make_node("ReduceSum", ["is_class", "pixels"], ["counts"], keepdims=0),
        helper.make_node("Max", ["counts", "one"], ["at_least_one"]),
        helper.make_node("Div", ["sums", "at_least_one"], ["confidence"]),
        helper.make_node("ReduceMean", ["probabilities", "pixels"], ["embedding"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", size, size, 3])],
        [
            helper.make_tensor_value_info("mask", TensorProto.UINT8, ["batch", size, size]),
            helper.make_tensor_value_info("confidence", TensorProto.FLOAT, ["batch", len(LABELS)]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", len(LABELS)]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def build_segmenter(folder: Path, knobs: Handmade = SEGMENTER) -> ModelPackage:
    """A complete package of it, golden set, evidence and profile included."""
    spec = SegmentationSpec(labels=LABELS, image=ImageSpec(height=knobs.size, width=knobs.size))
    return package_around(folder, spec, brightness_graph(knobs.size), knobs, encoded_patches)
