"""A graph that should have run as a TensorRT engine, and runs on ONNX Runtime instead."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EngineFallback:
    """`reason`: what kept the engine from being used, and what to do about it."""

    variant: str
    role: str
    reason: str
