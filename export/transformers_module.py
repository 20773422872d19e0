"""What the graphs of all transformers models have in common: pixels go in front, and the exporter is helped along."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from export.import_facts import InputFacts
from export.onnx_subject import prepare
from export.subject import Reference
from export.torch_subject import TorchGraph
from export.transformers_folder import TransformersModel
from tasks.task import Array, TaskSpec, open_task


class TransformersGraph(nn.Module):
    """image uint8 [B, H, W, 3] → what the graph of a task answers: normalisation in front of a transformers model.

    A task implements `finish`."""

    output_names: ClassVar[tuple[str, ...]]

    def __init__(self, opened: TransformersModel) -> None:
        super().__init__()
        self.model = opened.module
        self.pixels = Pixels(opened.input)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.finish(self.model(pixel_values=self.pixels(image), output_hidden_states=True))

    def finish(self, answer: Any) -> tuple[Tensor, ...]:
        """What transformers answers → tensors in the order of `output_names`."""
        raise NotImplementedError


class Pixels(nn.Module):
    """image uint8 [B, H, W, 3] → pixel values FP32 [B, 3, H, W]."""

    def __init__(self, facts: InputFacts) -> None:
        super().__init__()
        std = torch.tensor(facts.std).view(1, 3, 1, 1)
        self._reverses = facts.channels == "bgr"
        self.register_buffer("multiplier", facts.rescale / std)
        self.register_buffer("offset", torch.tensor(facts.mean).view(1, 3, 1, 1) / std)
        self.multiplier: Tensor
        self.offset: Tensor

    def forward(self, image: Tensor) -> Tensor:
        planes = image.permute(0, 3, 1, 2)
        ordered = planes.flip(1) if self._reverses else planes
        return ordered.float() * self.multiplier - self.offset


def pool(state: Tensor) -> Tensor:
    """The mean of a hidden state over space [B, D, h, w] or over tokens [B, T, D]: FP32 [B, D]."""
    return (state.mean(dim=(2, 3)) if state.ndim == 4 else state.mean(dim=1)).float()


@dataclass(frozen=True)
class Original:
    """The unmodified model, fed by preprocessing in numpy; `conclude` turns its answer into the graph's outputs, in
    numpy too: a path of its own, so that a mistake in the graph can not hide."""

    opened: TransformersModel
    conclude: Callable[[Any], dict[str, Array]]

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """`image` uint8 [batch, height, width, 3] → outputs by name."""
        with torch.inference_mode():
            pixels = torch.from_numpy(prepare(tensors["image"], self.opened.input))
            return self.conclude(self.opened.module(pixel_values=pixels, output_hidden_states=True))


@dataclass(frozen=True)
class AdaptedModel:
    """A transformers model as a task knows models: its spec, the graph to be written, the answers it is held to."""

    spec: TaskSpec
    graph: TransformersGraph
    reference: Reference

    def write(self, path: Path, opset: int) -> None:
        """The float32 ONNX graph. Raises GateFailed."""
        with traceable(self.graph.model):
            TorchGraph(self.graph.eval(), open_task(self.spec), self.graph.output_names).write(path, opset)


@contextmanager
def traceable(model: Any) -> Iterator[None]:
    """Replaces, in the module that a model comes from, two things that its tracing trips over: `len(tensor)`, which
    fixes the batch, and checks of sizes, which ONNX has no operator for (transformers itself can switch them off)."""
    source = vars(sys.modules[type(model).__module__])
    replaced = {name: source[name] for name in REPLACEMENTS if name in source}
    source.update(REPLACEMENTS)
    try:
        yield
    finally:
        for name in REPLACEMENTS:
            del source[name]
        source.update(replaced)


def length(sized: Any) -> Any:
    """As `len`, but the first size of a tensor may stay free."""
    return sized.shape[0] if isinstance(sized, Tensor) else len(sized)


def check_nothing(*arguments: Any, **named: Any) -> None:
    """In place of a check."""


REPLACEMENTS: Mapping[str, Any] = {"len": length, "torch_compilable_check": check_nothing}
