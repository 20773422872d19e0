"""The graphs of every variant of a model that answers at once, written into the folder of the package."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from export.compress.network_steps import NetworkSteps
from export.compress.steps import graph_steps, name_of, network_steps
from export.recipe import ExportRecipe, VariantConfig
from export.subject import Subject
from export.verify import Variant
from tasks.detection_spec import DetectionSpec, SuppressionInside
from tasks.errors import InvalidRecipe
from tasks.task import Array, TaskSpec, open_task
from training.progress import pulse, track


def build_variants(
    subject: Subject,
    recipe: ExportRecipe,
    batches: Sequence[Mapping[str, Array]],
    output: Path,
    description: str = "compressing",
) -> dict[str, Variant]:
    """Writes <variant>/model.onnx for every variant. `batches`: inputs [batch, …] by name, of training data;
    `description`: what the progress bar says."""
    builder = VariantBuilder(subject, recipe, batches, output)
    try:
        return {
            name: builder.build(name, config)
            for name, config in track(recipe.variants.items(), description, len(recipe.variants))
        }
    finally:
        builder.close()


class VariantBuilder:
    """Builds the variants of one export; the float32 graph that many start from is written once."""

    def __init__(
        self, subject: Subject, recipe: ExportRecipe, batches: Sequence[Mapping[str, Array]], output: Path
    ) -> None:
        self._subject, self._recipe, self._batches, self._output = subject, recipe, batches, output
        self._networks = NetworkSteps(subject.learnt.learning) if subject.learnt else None
        self._plain = output / "exported.onnx"

    def build(self, name: str, config: VariantConfig) -> Variant:
        """One variant. Raises InvalidRecipe for steps that this model can not take, GateFailed."""
        path = self._output / name / "model.onnx"
        path.parent.mkdir()
        shutil.copyfile(self._float_graph(config, path.parent), path)
        for step in graph_steps(config.steps):
            source = path.rename(path.with_name("before.onnx"))
            step.compress_graph(source, path, self._batches)
            source.unlink()
        return Variant(path, open_task(finish_variant(path, self._subject.task_spec, config)))

    def _float_graph(self, config: VariantConfig, folder: Path) -> Path:
        """The float32 graph after the steps that change the network."""
        steps = network_steps(config.steps)
        if not steps:
            if not self._plain.exists():
                with pulse("writing the ONNX graph"):
                    self._subject.write_graph(self._plain, self._recipe.opset)
            return self._plain
        learnt = self._subject.learnt
        if learnt is None or self._networks is None:
            raise InvalidRecipe(
                f"{name_of(steps[0])} changes the network and lets it learn on, and {self._subject.name} was made "
                "elsewhere: only its graph is known here. Take steps that change the graph, or train it here"
            )
        network, path = self._networks.compress(steps), folder / "network.onnx"
        with pulse("writing the ONNX graph"):
            learnt.write_graph(network, path, self._recipe.opset)
        return path

    def close(self) -> None:
        """Leaves nothing but the variants."""
        self._plain.unlink(missing_ok=True)
        for path in self._output.glob("*/network.onnx"):
            path.unlink()


def finish_variant(path: Path, spec: TaskSpec, config: VariantConfig) -> TaskSpec:
    """Moves into the graph what the recipe wants inside; returns the task that is left. Raises InvalidRecipe."""
    if config.suppression is None:
        return spec
    if not isinstance(spec, DetectionSpec) or spec.suppression != "class_aware":
        raise InvalidRecipe("only a detector with class_aware suppression can carry it inside its graph: see variants")
    from export.suppress_onnx import append_suppression

    # Never stricter than the task's own defaults: a variant must answer a request without thresholds as its siblings.
    inside = SuppressionInside(
        score_threshold=min(spec.score_threshold, config.suppression.score_threshold),
        iou_threshold=max(spec.iou_threshold, config.suppression.iou_threshold),
        max_detections=max(spec.max_detections, config.suppression.max_detections),
    )
    append_suppression(path, path, inside)
    return msgspec.structs.replace(spec, inside=inside)
