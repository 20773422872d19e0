"""Which engine executes the graphs of a deployment, and what it takes to reach it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from serving.engine_fallback import EngineFallback
from serving.engines.engine_key import BuildSettings

EngineName = Literal["onnxruntime", "tensorrt", "triton"]
"""onnxruntime: within this process, on what each variant asks for. tensorrt: engines that were built for this GPU.
triton: a server of its own."""
Transport = Literal["grpc", "shared_memory"]
"""How tensors reach Triton: in the message, or through memory that both see, where it runs on this machine. Answers
come in the message either way."""

DEFAULT_SETTINGS = BuildSettings()


@dataclass(frozen=True)
class EngineChoice:
    """One deployment's choice. `engine_cache`: the folder of built TensorRT engines, `settings`: how they were built
    (what they say of products holds for ONNX Runtime too). `report` hears of every graph that should have run as an
    engine and does not. `triton_url`: HOST:PORT of Triton's gRPC; `triton_in_flight`: requests that it may have of one
    model at once."""

    name: EngineName = "onnxruntime"
    engine_cache: Path = Path(".tidegate/cache/engines")
    triton_url: str = ""
    triton_in_flight: int = 32
    triton_transport: Transport = "grpc"
    settings: BuildSettings = DEFAULT_SETTINGS
    report: Callable[[EngineFallback], None] = lambda fallback: None


ONNX_RUNTIME = EngineChoice()
"""What every package can be proved with, on any machine."""
