"""Weights, states and all in between in 16 bits, baked into the graph: TensorRT takes the precision from there and from
nowhere else. For a GPU: processors compute it in float32 anyway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from export.compress.half_graph import convert_to_half
from export.compress.prepared_graph import prepare_graph
from export.compress.technique import GraphTechnique
from export.graphs.graph_builder import save_graph
from registry.manifest import Precision
from tasks.task import Array


class HalfPrecision(GraphTechnique, frozen=True, kw_only=True):
    """Two ways to share 16 bits between a fraction and an exponent."""

    half: ClassVar[Literal["fp16", "bf16"]]
    needs_gpu: ClassVar[bool] = True

    def compress_graph(self, source: Path, target: Path, batches: Sequence[Mapping[str, Array]]) -> None:
        save_graph(convert_to_half(prepare_graph(source), self.half), target)


class Fp16(HalfPrecision, frozen=True, kw_only=True, tag="fp16"):
    """Float16: ten bits of fraction, numbers up to 65,504."""

    half: ClassVar[Literal["fp16", "bf16"]] = "fp16"
    precision: ClassVar[Precision | None] = "fp16"


class Bf16(HalfPrecision, frozen=True, kw_only=True, tag="bf16"):
    """Bfloat16: seven bits of fraction, numbers as large as those of float32."""

    half: ClassVar[Literal["fp16", "bf16"]] = "bf16"
    precision: ClassVar[Precision | None] = "bf16"
