"""Weights, states and all in between in 16 bits, baked into the graph: TensorRT takes the precision from there and from
nowhere else. For a GPU: processors compute it in float32 anyway."""

from __future__ import annotations

from typing import ClassVar

from export.compress.technique import GraphTechnique
from registry.manifest import Precision
from training.recipe import TaskName


class Fp16(GraphTechnique, frozen=True, kw_only=True, tag="fp16"):
    """Float16: ten bits of fraction, numbers up to 65,504."""

    precision: ClassVar[Precision | None] = "fp16"
    needs_gpu: ClassVar[bool] = True

    def find_obstacle(self, task: TaskName) -> str:
        return "" if task in ("captioning", "text_generation") else "graphs of pictures are not converted yet"


class Bf16(GraphTechnique, frozen=True, kw_only=True, tag="bf16"):
    """Bfloat16: seven bits of fraction, numbers as large as those of float32."""

    precision: ClassVar[Precision | None] = "bf16"
    needs_gpu: ClassVar[bool] = True

    def find_obstacle(self, task: TaskName) -> str:
        return "no graph is converted yet"
