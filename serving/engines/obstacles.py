"""Which graphs TensorRT is not asked to build, and why: known before a GPU has worked on one for minutes."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from registry.decoder_interface import COPY, DECODER
from serving.engines.onnx_operators import UINT8, Operators, read_operators

STATEFUL_ROLES: Collection[str] = frozenset({DECODER, COPY})
"""Graphs that write their state over the memory that they read it from, which no engine promises to survive. ONNX
Runtime runs them, where their variant asks to."""
MAX_NAMED = 3
QUANTIZERS: Collection[str] = frozenset({"QuantizeLinear", "DequantizeLinear"})


def build_obstacle(graph: Path) -> str:
    """Why no engine can be had of an ONNX file; empty if it is worth trying. Raises InvalidPackage for another file."""
    return operator_obstacle(read_operators(graph))


def operator_obstacle(operators: Operators) -> str:
    foreign = sorted({str(node) for node in operators.nodes if node.domain})
    if foreign:
        more = f" and {len(foreign) - MAX_NAMED} more" if len(foreign) > MAX_NAMED else ""
        return f"it has operators that only ONNX Runtime knows: {', '.join(foreign[:MAX_NAMED])}{more}"
    zero_points = [name for node in operators.nodes if node.name in QUANTIZERS for name in node.inputs[2:3]]
    if any(operators.weight_types.get(name) == UINT8 for name in zero_points):
        # Where the zero point is 0 TensorRT reads them as signed, and cuts off everything above 127.
        return "it quantizes to unsigned numbers, and TensorRT takes signed ones with zero point 0 only"
    pictures = {name for name, kind in operators.input_types.items() if kind == UINT8}
    users = {str(node) for node in operators.nodes if node.name != "Cast" and pictures & set(node.inputs)}
    if users:
        return f"it does more with bytes than cast them, which is all that TensorRT can: {', '.join(sorted(users))}"
    return ""
