"""The TrainingKind protocol: what a kind of model needs of training beyond the loop that all share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol

from tasks.task import TaskSpec
from training.data.batches import Datasets
from training.data.source import DataSource
from training.history import EpochRecord
from training.learner import Learner
from training.networks.config import ModelConfig
from training.networks.network import Trainable
from training.recipe import Recipe, TaskName

KIND_CLASSES: Mapping[TaskName, str] = {
    "classification": "training.classification.kind:ClassificationKind",
    "detection": "training.detection.kind:DetectionKind",
    "segmentation": "training.segmentation.kind:SegmentationKind",
    "captioning": "training.captioning.kind:CaptioningKind",
    "text_generation": "training.language.kind:LanguageKind",
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

    def spec(self, source: DataSource, recipe: Recipe) -> TaskSpec:
        """The task that a recipe trains for. Raises InvalidRecipe where the data has nothing of this kind."""
        ...

    def datasets(self, source: DataSource, recipe: Recipe) -> Datasets:
        """Training and validation data as the learner takes them."""
        ...

    def assets(self, source: DataSource, recipe: Recipe) -> tuple[Path, ...]:
        """Files that the spec names (a tokenizer, say): they are copied into the checkpoint under their own names."""
        ...

    def network(self, config: ModelConfig, spec: TaskSpec) -> Trainable:
        """A new network, its weights random or pretrained."""
        ...

    def find_misfit(self, source: DataSource, recipe: Recipe, checkpoint: Path) -> str:
        """Why weights of a checkpoint folder would mean something else in a network of this recipe, though they have
        the same shapes; empty where they would not. Raises InvalidRecipe."""
        ...

    def answers_alike(self, source: DataSource, recipe: Recipe, checkpoint: Path) -> bool:
        """Whether outputs of a checkpoint folder's network mean what those of this recipe's network do: the same
        classes in the same order, the same words. False for a folder that does not say what it means."""
        ...

    def learner(self, network: Trainable, recipe: Recipe, spec: TaskSpec) -> Learner: ...

    def evaluate(self, network: Trainable, source: DataSource, recipe: Recipe) -> Evaluation:
        """Runs validation and test data through a trained network."""
        ...


def open_kind(task: TaskName) -> TrainingKind:
    """The kind of a recipe's task."""
    module, name = KIND_CLASSES[task].split(":")
    kind: TrainingKind = getattr(import_module(module), name)()
    return kind
