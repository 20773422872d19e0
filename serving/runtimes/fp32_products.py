"""How a GPU may multiply numbers of 32 bits."""

from __future__ import annotations

from typing import Literal

Fp32Products = Literal["fp32", "tf32"]
"""tf32 rounds factors to 10 bits of mantissa before it multiplies them: faster, and a lower precision than the graph
says. Both ONNX Runtime and TensorRT do so by themselves unless they are told not to."""
