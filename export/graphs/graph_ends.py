"""What a graph takes and gives, read from its file: a host that can not run it can describe it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx

from export.graphs.graph_builder import ELEMENT_TYPES
from tasks.task import TensorSpec

DATATYPES = {element: name for name, element in ELEMENT_TYPES.items()}


def describe_ends(graph: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs; free axes are −1."""
    found = onnx.load(graph, load_external_data=False).graph
    return tuple(tensor_spec(each) for each in found.input), tuple(tensor_spec(each) for each in found.output)


def tensor_spec(end: Any) -> TensorSpec:
    kind = end.type.tensor_type
    shape = tuple(size.dim_value if size.HasField("dim_value") else -1 for size in kind.shape.dim)
    return TensorSpec(name=end.name, dtype=DATATYPES[kind.elem_type], shape=shape)
