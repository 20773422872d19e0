"""Why TensorRT is not asked to build a graph: known before a GPU has worked on it for minutes."""

from __future__ import annotations

from collections.abc import Collection

from registry.decoder_interface import COPY, DECODER
from registry.package import ModelPackage
from serving.engines.onnx_operators import Operators, read_operators

STATEFUL_ROLES: Collection[str] = frozenset({DECODER, COPY})
"""They write their state over the memory that they read it from, which TensorRT does not promise to survive."""
MAX_NAMED = 3
QUANTIZERS: Collection[str] = frozenset({"QuantizeLinear", "DequantizeLinear"})
ONNX_UINT8 = 2
"""As TensorProto.DataType counts."""


def build_obstacle(package: ModelPackage, variant: str, role: str) -> str:
    """Why no engine can be had of this graph; empty if it is worth trying. Raises InvalidPackage for a file that is no
    ONNX model."""
    if role in STATEFUL_ROLES:
        return f"a graph of role {role!r} keeps its state in place; ONNX Runtime runs it"
    return operator_obstacle(read_operators(package.graph_path(variant, role)))


def operator_obstacle(operators: Operators) -> str:
    foreign = sorted({str(node) for node in operators.nodes if node.domain})
    if foreign:
        more = f" and {len(foreign) - MAX_NAMED} more" if len(foreign) > MAX_NAMED else ""
        return f"it has operators that only ONNX Runtime knows: {', '.join(foreign[:MAX_NAMED])}{more}"
    unsigned = {
        node.name
        for node in operators.nodes
        if node.name in QUANTIZERS and any(operators.weight_types.get(name) == ONNX_UINT8 for name in node.inputs[2:3])
    }
    if unsigned:
        # TensorRT reads them as signed where the zero point is 0, and then cuts off everything above 127.
        return "it quantizes to unsigned numbers, and TensorRT takes signed ones with zero point 0 only"
    return ""
