"""A trained torch classifier as the subject of an export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from export.compress.learning import Learning
from export.lineage import now
from export.subject import Data, Learnt, Subject
from export.to_onnx import check_batches, write_onnx
from registry.manifest import Lineage
from tasks.task import Array, Task, open_task
from training.checkpoint import Checkpoint
from training.data.joined import open_normal
from training.data.source import open_source
from training.networks.network import Trainable


@dataclass(frozen=True)
class TorchGraph:
    """A module from `image` uint8 [batch, height, width, 3] to a tuple of outputs, in evaluation mode."""

    module: torch.nn.Module
    task: Task
    output_names: Sequence[str]
    batch_buckets: tuple[int, ...] = (1, 3, 32)
    """Sizes that the written graph is checked at: one, an odd one, the largest."""

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """The module's own answers: what every variant is held to."""
        with torch.inference_mode():
            outputs: Sequence[torch.Tensor] = self.module(torch.from_numpy(tensors["image"]))
        return {name: output.numpy() for name, output in zip(self.output_names, outputs, strict=True)}

    def write(self, path: Path, opset: int) -> None:
        """The module as a float32 ONNX graph. Raises GateFailed."""
        write_onnx(self.module, self.task.image_spec, self.output_names, path, opset)
        check_batches(self.run, self.task, path, self.batch_buckets)


def subject_of_checkpoint(checkpoint: Checkpoint, run_id: str = "") -> Subject:
    """The model of a checkpoint with the data of its recipe: evidence comes from the test split alone, because the
    validation split chose the best epoch and the temperature."""
    module, task = checkpoint.module, open_task(checkpoint.task_spec)
    source, facts = open_source(checkpoint.recipe.data), checkpoint.facts
    graph = TorchGraph(module, task, module.output_names)

    def write_network(network: Trainable, path: Path, opset: int) -> None:
        TorchGraph(network, task, network.output_names).write(path, opset)

    return Subject(
        name=checkpoint.recipe.name,
        task_spec=checkpoint.task_spec,
        reference=graph.run,
        write_graph=graph.write,
        data=Data(
            calibration=source.split("train"),
            held_out=source.split("test"),
            spare=source.split("validation"),
            normal=open_normal(checkpoint.recipe.data),
        ),
        lineage=Lineage(
            created_at=now(),
            source=f"trained by recipe {checkpoint.recipe.name}",
            dataset_digest=facts.dataset_digest,
            git_commit=facts.git_commit,
            run_id=run_id or facts.run_id,
            recipe={"training": facts.recipe},
            versions=facts.libraries,
        ),
        learnt=Learnt(Learning(module, checkpoint.recipe, checkpoint.task_spec, source), write_network),
    )
