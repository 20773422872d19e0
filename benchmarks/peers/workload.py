"""What everybody is asked, and how often at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.packages import RESNET, TINY

Kind = Literal["tensor", "picture"]


@dataclass(frozen=True)
class Workload:
    """`kind`: what a request carries; `length`: a turn is so many times `--seconds` long, since whoever is cut off at
    its end is not counted, and a batch of eight is a quarter of a second."""

    title: str
    model: str
    kind: Kind
    connections: tuple[int, ...]
    length: int


WORKLOADS: Mapping[str, Workload] = {
    "tensor": Workload("ResNet-18, tensor in", RESNET, "tensor", (8, 32), 4),
    "jpeg": Workload("ResNet-18, JPEG 1280×960 in", RESNET, "picture", (8, 32), 4),
    "small": Workload("0.02 ms model, 12 kB tensor in", TINY, "tensor", (1, 8, 32), 1),
}
