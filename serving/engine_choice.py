"""Which engine executes the graphs of a deployment, and what it takes to reach it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

EngineName = Literal["onnxruntime", "tensorrt", "triton"]
"""onnxruntime: within this process, on what each variant asks for. tensorrt: engines that were built for this GPU.
triton: a server of its own."""
Transport = Literal["grpc", "shared_memory"]
"""How tensors reach Triton: in the message, or through memory that both see, where it runs on this machine. Answers
come in the message either way."""


@dataclass(frozen=True)
class EngineChoice:
    """One deployment's choice. `engine_cache`: the folder of built TensorRT engines. `triton_url`: HOST:PORT of
    Triton's gRPC; `triton_in_flight`: requests that it may have of one model at once."""

    name: EngineName = "onnxruntime"
    engine_cache: Path = Path(".tidegate/cache/engines")
    triton_url: str = ""
    triton_in_flight: int = 32
    triton_transport: Transport = "grpc"


ONNX_RUNTIME = EngineChoice()
"""What every package can be proved with, on any machine."""
