"""Knowledge distillation: a smaller network learns the task, and what the trained one answers to the same examples.

Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network" (2015): the shares that the teacher gives to
the wrong classes say more of an example than its label does. The student begins with random weights and learns as long
as its teacher did.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import lightning.pytorch as pl
import msgspec
import torch

from export.compress.imitating_learner import ImitatingLearner, Imitation
from export.compress.learning import Learning
from export.compress.technique import ALL_FORMS, Form, NetworkTechnique
from tasks.errors import InvalidRecipe
from training.data.batches import Batch
from training.kind import open_kind
from training.networks.build import check_model
from training.networks.config import ModelConfig
from training.networks.network import Trainable
from training.networks.shrink import shrink_model
from training.recipe import NETWORK_KINDS, Recipe, TaskName
from training.recipe_section import ZeroOrMore

Factor = Annotated[float, msgspec.Meta(gt=0, lt=1)]
NUM_EXAMPLES = 2


class Distillation(NetworkTechnique, frozen=True, kw_only=True, tag="distillation"):
    """The student is the `model` of a table as training recipes have it; left out: the trained one with all its widths
    times `shrink`. `epochs` and `batches_per_epoch`: how long it learns; 0 takes those of the training recipe."""

    undoes: ClassVar[frozenset[Form]] = ALL_FORMS
    model: ModelConfig | None = None
    shrink: Factor = 0.5
    imitation: Imitation = Imitation()
    epochs: ZeroOrMore = 0
    batches_per_epoch: ZeroOrMore = 0

    def find_obstacle(self, task: TaskName) -> str:
        return find_obstacle(self.imitation, task)

    def compress(self, network: Trainable, learning: Learning) -> Trainable:
        check_first(network, learning)
        recipe = self._recipe(learning)
        kind = open_kind(recipe.task)
        pl.seed_everything(recipe.seed, verbose=False)
        student = kind.network(self._model(recipe), learning.spec)
        learner = kind.learner(student, recipe, learning.spec)
        example = example_of(learning, recipe)
        learning.learn(ImitatingLearner(learner, learning.trained, self.imitation, example), recipe)
        return student

    def _recipe(self, learning: Learning) -> Recipe:
        """The recipe of the training, for a student. What is for weights that were learnt elsewhere is left out."""
        recipe = learning.recipe
        schedule = msgspec.structs.replace(
            recipe.schedule,
            epochs=self.epochs or recipe.schedule.epochs,
            batches_per_epoch=self.batches_per_epoch or recipe.schedule.batches_per_epoch,
            frozen_epochs=0,
        )
        return msgspec.structs.replace(
            recipe,
            seed=learning.next_seed,
            optimiser=msgspec.structs.replace(recipe.optimiser, backbone_factor=1.0),
            schedule=schedule,
        )

    def _model(self, recipe: Recipe) -> ModelConfig:
        """The student's table. Raises InvalidRecipe."""
        builds = NETWORK_KINDS[recipe.task]
        if self.model is None:
            return shrink_model(recipe.model, builds, self.shrink)
        check_model(self.model, builds, "distillation.model")
        if self.model.warm_start:
            raise InvalidRecipe("distillation.model: a student begins with random weights; leave out warm_start")
        return self.model


def find_obstacle(imitation: Imitation, task: TaskName) -> str:
    """Why nothing of this kind can be imitated in a task; empty where it can."""
    if imitation.feature_weight and task == "text_generation":
        return "it sees no picture, and features are of pictures; leave out imitation.feature_weight"
    return ""


def example_of(learning: Learning, recipe: Recipe) -> Batch:
    """A small batch of the training data."""
    dataset = open_kind(recipe.task).datasets(learning.source, recipe).train
    dataset.begin_epoch(0)
    return dataset.__getitems__(list(range(min(NUM_EXAMPLES, len(dataset)))))


def check_first(network: Trainable, learning: Learning) -> None:
    """Raises InvalidRecipe where steps before have made something of the network, which a student would not have."""
    before, trained = network.state_dict(), learning.trained.state_dict()
    if before.keys() != trained.keys() or not all(torch.equal(before[name], trained[name]) for name in before):
        raise InvalidRecipe(
            "distillation begins a new network, and what the steps before it have done would be lost: make it the "
            "first step, or take distilled_tuning, which goes on with the network that it is given"
        )
