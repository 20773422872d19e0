"""A float32 graph as all techniques want it: shapes known, batch normalisation folded, every node with a name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import onnxruntime
from onnx import inliner
from onnxruntime.quantization.shape_inference import quant_pre_process

from export.to_onnx import quiet

SEVERITY_WARNING, SEVERITY_ERROR = 2, 3
WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


def prepare_graph(source: Path) -> Any:
    """The ModelProto, with its weights in memory."""
    with TemporaryDirectory() as folder, quiet(), quiet_engine():
        prepared = Path(folder) / "prepared.onnx"
        # Symbolic shapes are only needed for transformers with free sequence lengths, and cost seconds.
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        model = inliner.inline_local_functions(onnx.load(prepared))
    name_nodes(model.graph)
    return model


def name_nodes(graph: Any) -> None:
    """Graphs made elsewhere may leave nodes without names, or give one twice."""
    taken: set[str] = set()
    for index, node in enumerate(graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{index}_of_{len(graph.node)}"
        taken.add(node.name)


def find_layers(graph: Any) -> list[Any]:
    """The nodes that multiply by weights, in order."""
    constants = {each.name for each in graph.initializer}
    return [node for node in graph.node if node.op_type in WEIGHTED and not constants.isdisjoint(node.input)]


def find_tail(graph: Any) -> list[str]:
    """Names of the nodes behind which there is no layer with weights: the last such layers, and all that follows."""
    layers = {node.name for node in find_layers(graph)}
    leading_on: set[str] = set()
    tail = []
    for node in reversed(graph.node):
        if leading_on.isdisjoint(node.output):
            tail.append(node.name)
            leading_on.update(node.input if node.name in layers else ())
        else:
            leading_on.update(node.input)
    return tail


def find_lead(graph: Any) -> list[str]:
    """Names of the nodes before which there is no layer with weights: they bring the picture into the form that the
    first layer takes."""
    layers = {node.name for node in find_layers(graph)}
    behind: set[str] = set()
    lead = []
    for node in graph.node:
        if node.name in layers or not behind.isdisjoint(node.input):
            behind.update(node.output)
        else:
            lead.append(node.name)
    return lead


@contextlib.contextmanager
def quiet_engine() -> Iterator[None]:
    """The quantizer opens sessions of its own, which warn on the process's standard error about foreign graphs."""
    onnxruntime.set_default_logger_severity(SEVERITY_ERROR)
    try:
        yield
    finally:
        onnxruntime.set_default_logger_severity(SEVERITY_WARNING)
