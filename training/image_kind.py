"""What all kinds that learn from labelled pictures share: their labels, their targets, their decoded pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from tasks.errors import InvalidPackage
from tasks.task import TaskSpec
from training.checkpoint import read_facts
from training.data.batches import Datasets
from training.data.pixels import TargetCodec, open_pixels
from training.data.source import DataSource
from training.recipe import Recipe


class ImageKind(ABC):
    """The part of a TrainingKind that is the same for them."""

    @abstractmethod
    def labels(self, source: DataSource) -> tuple[str, ...]:
        """What the model tells apart. Raises InvalidRecipe where the data has no targets of this kind."""

    @abstractmethod
    def labelled_spec(self, labels: tuple[str, ...], recipe: Recipe) -> TaskSpec:
        """The task for these labels."""

    @abstractmethod
    def target_codec(self, spec: TaskSpec) -> TargetCodec:
        """How targets become tensors."""

    def spec(self, source: DataSource, recipe: Recipe) -> TaskSpec:
        return self.labelled_spec(self.labels(source), recipe)

    def datasets(self, source: DataSource, recipe: Recipe) -> Datasets:
        spec = self.spec(source, recipe)
        codec = self.target_codec(spec)
        return Datasets(*(open_pixels(source.split(name), spec, codec) for name in ("train", "validation")))

    def assets(self, source: DataSource, recipe: Recipe) -> tuple[Path, ...]:
        return ()

    def find_misfit(self, source: DataSource, recipe: Recipe, checkpoint: Path) -> str:
        return ""

    def answers_alike(self, source: DataSource, recipe: Recipe, checkpoint: Path) -> bool:
        try:
            facts = read_facts(checkpoint)
        except InvalidPackage:
            return False
        return facts.recipe["task"] == recipe.task and tuple(facts.task["labels"]) == self.labels(source)
