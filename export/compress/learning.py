"""How a compressed network learns on: by the recipe, the data and the loop that it was trained with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightning.pytorch as pl
import msgspec

from export.compress.weight_pattern import KeptPatterns
from export.section import Count, Positive, Section
from tasks.task import TaskSpec
from training.data.source import DataSource
from training.kind import open_kind
from training.learner import Learner
from training.networks.network import Trainable
from training.recipe import Recipe
from training.recipe_section import ZeroOrMore
from training.trainer import tune


class FineTuning(Section, frozen=True, kw_only=True):
    """How long a network learns on, and how fast. The rate starts at its highest and falls like half a cosine."""

    epochs: Count = 1
    batches_per_epoch: ZeroOrMore = 0
    """0 takes all the data there is."""
    learning_rate_factor: Positive = 0.1
    """The highest learning rate, as a share of that of the training recipe."""


@dataclass(frozen=True)
class Learning:
    """All that it takes to learn on. `trained`: the network as it was trained, for comparison; nobody changes it.
    `seed`: decides the order of examples and their augmentation; another one gives another compressed network."""

    trained: Trainable
    recipe: Recipe
    spec: TaskSpec
    source: DataSource
    seed: int = 0

    @property
    def next_seed(self) -> int:
        """Of all that is learnt here: not that of the training, whose order of examples it would repeat."""
        return (self.recipe.seed + 1 + self.seed) % 2**32

    def recipe_for(self, config: FineTuning) -> Recipe:
        """The recipe of the training, changed to what fine-tuning takes of it."""
        recipe = self.recipe
        optimiser = msgspec.structs.replace(
            recipe.optimiser, learning_rate=recipe.optimiser.learning_rate * config.learning_rate_factor
        )
        schedule = msgspec.structs.replace(
            recipe.schedule,
            epochs=config.epochs,
            batches_per_epoch=config.batches_per_epoch or recipe.schedule.batches_per_epoch,
            warmup_fraction=0.0,
            frozen_epochs=0,
        )
        return msgspec.structs.replace(recipe, seed=self.next_seed, optimiser=optimiser, schedule=schedule)

    def learner(self, network: Trainable, config: FineTuning) -> Learner:
        """The learner of the task over this network."""
        return open_kind(self.recipe.task).learner(network, self.recipe_for(config), self.spec)

    def fine_tune(
        self,
        network: Trainable,
        config: FineTuning,
        callbacks: Sequence[pl.Callback] = (),
        learner: Learner | None = None,
    ) -> None:
        """`network` learns on, in place, and is left in evaluation mode on the CPU with its last weights. Zeros that it
        comes with stay zeros, and weights that share a value go on sharing one: what earlier steps established holds.

        `callbacks` watch over what else must hold; `learner`: another than the task's own."""
        recipe = self.recipe_for(config)
        self.learn(learner or self.learner(network, config), recipe, [KeptPatterns(), *callbacks])

    def learn(self, learner: Learner, recipe: Recipe, callbacks: Sequence[pl.Callback] = ()) -> None:
        """By a recipe of its own and with all weights free. The learner's network is left in evaluation mode on the
        CPU."""
        pl.seed_everything(recipe.seed, verbose=False)
        tune(learner, open_kind(recipe.task).datasets(self.source, recipe).train, recipe, callbacks)
        learner.network.cpu().eval()
