"""Which engine executes the graphs of a deployment, and what it takes to reach it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

EngineName = Literal["onnxruntime", "tensorrt", "triton"]
"""onnxruntime: within this process, on what each variant asks for. tensorrt: engines that were built for this GPU.
triton: a server of its own."""


@dataclass(frozen=True)
class EngineChoice:
    """One deployment's choice. `engine_cache`: the folder of built TensorRT engines. `triton_url`: HOST:PORT of
    Triton's gRPC."""

    name: EngineName = "onnxruntime"
    engine_cache: Path = Path(".tidegate/cache/engines")
    triton_url: str = ""


ONNX_RUNTIME = EngineChoice()
"""What every package can be proved with, on any machine."""
