"""Fine-tuning by the trained network's answers: a network that steps have cut into learns from what it was before.

It keeps its form: zeros, shared values, narrower layers. Mishra and Marr, "Apprentice" (2018), teach quantized networks
so.
"""

from __future__ import annotations

from typing import ClassVar

from export.compress.distillation import example_of, find_obstacle
from export.compress.imitating_learner import ImitatingLearner, Imitation
from export.compress.learning import FineTuning, Learning
from export.compress.technique import Form, NetworkTechnique
from training.networks.network import Trainable
from training.recipe import TaskName


class DistilledTuning(NetworkTechnique, frozen=True, kw_only=True, tag="distilled_tuning"):
    """The network as the steps before left it learns on."""

    undoes: ClassVar[frozenset[Form]] = frozenset({"rounded weights"})
    imitation: Imitation = Imitation()
    fine_tuning: FineTuning = FineTuning()

    def find_obstacle(self, task: TaskName) -> str:
        return find_obstacle(self.imitation, task)

    def compress(self, network: Trainable, learning: Learning) -> Trainable:
        example = example_of(learning, learning.recipe_for(self.fine_tuning))
        learner = learning.learner(network, self.fine_tuning)
        imitating = ImitatingLearner(learner, learning.trained, self.imitation, example)
        learning.fine_tune(network, self.fine_tuning, learner=imitating)
        return network
