"""The TrainingKind protocol: what a kind of model needs of training beyond the loop that all share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol

from tasks.task import TaskSpec
from training.data.pixels import TargetCodec
from training.data.source import DataSource
from training.history import EpochRecord
from training.learner import Learner
from training.networks.config import ModelConfig
from training.networks.network import Network
from training.recipe import Recipe, TaskName

KIND_CLASSES: Mapping[TaskName, str] = {
    "classification": "training.classification.kind:ClassificationKind",
    "detection": "training.detection.kind:DetectionKind",
    "segmentation": "training.segmentation.kind:SegmentationKind",
}
"""Task → its kind. Looked up by name so that a run imports only what it trains."""


class Evaluation(Protocol):
    """What a trained network is worth on data it has not learnt from."""

    @property
    def metrics(self) -> dict[str, float]:
        """Figures named `val_…` and `test_…`; `test_…` decided nothing."""
        ...

    @property
    def spec(self) -> TaskSpec:
        """The finished task: what was fitted on validation data (a temperature, say) is in it."""
        ...

    def write_figures(self, history: Sequence[EpochRecord], folder: Path) -> None:
        """Pictures for people and the same facts as JSON for programs, into an existing folder."""
        ...


class TrainingKind(Protocol):
    """One kind of model. Implementations hold no state."""

    def labels(self, source: DataSource) -> tuple[str, ...]:
        """What the model tells apart. Raises InvalidRecipe where the data has no targets of this kind."""
        ...

    def spec(self, labels: tuple[str, ...], recipe: Recipe) -> TaskSpec:
        """The task that a recipe trains for."""
        ...

    def target_codec(self, spec: TaskSpec) -> TargetCodec:
        """How targets become tensors."""
        ...

    def network(self, config: ModelConfig, spec: TaskSpec) -> Network:
        """A new network, its weights random or pretrained."""
        ...

    def learner(self, network: Network, recipe: Recipe, labels: tuple[str, ...]) -> Learner: ...

    def evaluate(self, network: Network, source: DataSource, recipe: Recipe) -> Evaluation:
        """Runs validation and test data through a trained network."""
        ...


def open_kind(task: TaskName) -> TrainingKind:
    """The kind of a recipe's task."""
    module, name = KIND_CLASSES[task].split(":")
    kind: TrainingKind = getattr(import_module(module), name)()
    return kind
