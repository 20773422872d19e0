"""What an export works on: a model with its reference answers and its data, wherever it came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from export.compress.learning import Learning
from registry.manifest import Lineage
from tasks.task import Array, TaskSpec
from training.networks.network import Trainable

Reference = Callable[[Mapping[str, Array]], dict[str, Array]]
"""Input tensors [batch, …] by name → output tensors [batch, …] by name, as the trained model computes them."""


class Example(Protocol):
    """One encoded input and what the task should conclude from it (for a classifier, the index of its class)."""

    @property
    def payload(self) -> bytes: ...

    @property
    def target(self) -> Any: ...


class Examples(Protocol):
    """Cheap random access to examples: a list, or a split of a data source."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Example: ...


@dataclass(frozen=True)
class Data:
    """Encoded examples by their use. `calibration` may have been trained on; `held_out` must never have been seen;
    `spare` was not learnt from either, but may have decided something (early stopping, the temperature): it only
    widens the reference profile. `normal`: what the profile is made of instead, where not all that is held out is what
    is expected of live traffic."""

    calibration: Examples
    held_out: Examples
    spare: Examples = ()
    normal: Examples | None = None


@dataclass(frozen=True)
class Learnt:
    """A network that was trained here, so that it can change and learn on. `write_graph(network, path, opset)` writes
    the float32 ONNX graph of any form of it."""

    learning: Learning
    write_graph: Callable[[Trainable, Path, int], None]


@dataclass(frozen=True)
class Subject:
    """A trained model on its way into a package.

    `write_graph(path, opset)` writes the float32 ONNX graph that every variant starts from. `max_batch` is the largest
    batch the graph takes, None for any. `learnt`: None for a model that was made elsewhere.
    """

    name: str
    task_spec: TaskSpec
    reference: Reference
    write_graph: Callable[[Path, int], None]
    data: Data
    lineage: Lineage
    max_batch: int | None = None
    learnt: Learnt | None = None
