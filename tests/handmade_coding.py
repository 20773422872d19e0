"""A small package whose weights are pruned and clustered, and the same package with its graph coded."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.compress.entropy_coding import store_coded
from registry.manifest import Graph
from registry.package import ModelPackage, seal_package
from tasks.classification import ClassificationSpec
from tasks.image import ImageSpec
from tests.handmade import LABELS, Handmade, package_around

SIZE, WIDTH = 16, 64
CODED = "fp32/model.coded"


def pruned_weights(
    shape: tuple[int, ...], seed: int, num_values: int = 16, density: float = 0.1
) -> NDArray[np.float32]:
    """Few values, and mostly none."""
    rng = np.random.default_rng(seed)
    weights = rng.choice(np.linspace(-0.02, 0.02, num_values, dtype=np.float32), shape)
    return np.where(rng.random(shape) < density, weights, np.float32(0))


def pruned_graph() -> onnx.ModelProto:
    """`image` UINT8 [batch, 16, 16, 3] → `embedding` [batch, 64] → `logits` [batch, 5], with notes such as exporters
    leave."""
    constants = {
        "dense": pruned_weights((3 * SIZE * SIZE, WIDTH), 0),
        "dense_bias": np.random.default_rng(1).standard_normal(WIDTH).astype(np.float32),
        "head": np.random.default_rng(2).standard_normal((WIDTH, len(LABELS))).astype(np.float32),
        "long_bias": np.random.default_rng(3).standard_normal(WIDTH * 8).astype(np.float32),
        "parts": np.array([-1, 8, WIDTH], np.int64),
        "axis": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("Gemm", ["flat", "dense", "dense_bias"], ["wide"]),
        helper.make_node("Concat", ["wide"] * 8, ["many"], axis=1),
        helper.make_node("Add", ["many", "long_bias"], ["moved"]),
        helper.make_node("Reshape", ["moved", "parts"], ["split"]),
        helper.make_node("ReduceMean", ["split", "axis"], ["embedding"], keepdims=0),
        helper.make_node("MatMul", ["embedding", "head"], ["logits"], doc_string="where it came from"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIZE, SIZE, 3])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(LABELS)])
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", WIDTH])
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "pruned", [image], [logits, embedding], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    model.graph.node[0].metadata_props.add(key="stack_trace", value="line 7\n" * 200)
    return model


def build_pruned(folder: Path) -> ModelPackage:
    """The package of `pruned_graph` as it is."""
    spec = ClassificationSpec(labels=LABELS, image=ImageSpec(height=SIZE, width=SIZE))
    return package_around(folder, spec, pruned_graph(), Handmade(name="pruned", size=SIZE, max_batch=2))


def code_package(package: ModelPackage, folder: Path) -> ModelPackage:
    """A copy of a package whose graphs are all coded."""
    shutil.copytree(package.folder, folder)
    variants = {
        name: msgspec.structs.replace(
            variant, graphs={role: code_graph(folder, graph) for role, graph in variant.graphs.items()}
        )
        for name, variant in package.manifest.variants.items()
    }
    return seal_package(folder, msgspec.structs.replace(package.manifest, variants=variants))


def code_graph(folder: Path, graph: Graph) -> Graph:
    """The description of a graph after it was coded; the plain one is gone."""
    plain, coded = folder / graph.file, Path(graph.file).with_suffix(".coded")
    stored = store_coded(plain, folder / coded)
    for file in (graph.file, *graph.data_files):
        (folder / file).unlink()
    return msgspec.structs.replace(graph, file=coded.as_posix(), data_files=(), decodes_to=stored.decodes_to)
