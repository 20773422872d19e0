"""A network that learns from another one: it does the task's lessons, and sees what its teacher answers to each."""

from __future__ import annotations

import copy
from typing import ClassVar

import torch
from torch import Tensor, nn

from export.compress.imitation import differ_in_features, differ_in_objects, differ_in_shares, sum_of
from export.compress.stand_in import check_answers, check_features, check_outputs
from export.section import Positive, Section, Share
from training.data.batches import Batch
from training.detection.learner import DetectionAnswer
from training.learner import Learner
from training.lesson import Answer
from training.networks.detector import Detector
from training.networks.network import Trainable
from training.recipe_section import NonNegative


class Imitation(Section, frozen=True, kw_only=True):
    """`weight`: of the teacher's answers, against 1 − `weight` of the right ones. `temperature` of classes that exclude
    each other: above 1 the teacher's lesser guesses count more. `feature_weight`: of what was seen before anything was
    decided (Romero et al., "FitNets", 2015), added to both; where widths differ, a projection is learnt along."""

    weight: Share = 0.7
    temperature: Positive = 4.0
    feature_weight: NonNegative = 0.0


class ImitatingLearner(Learner):
    """Learns with the task's own learner, whose network is the student. The teacher does not change."""

    monitored: ClassVar[str] = "train_loss"

    def __init__(self, learner: Learner, teacher: Trainable, config: Imitation, example: Batch) -> None:
        """`example`: any batch, to find out what the networks answer. Raises InvalidRecipe where that is not alike."""
        super().__init__(learner.network, learner.recipe)
        self._learner = learner
        self._teacher = copy.deepcopy(teacher).eval().requires_grad_(False)
        self._config = config
        self._projections = nn.ModuleList()
        taught, known = self._try_out(example)
        if config.feature_weight:
            check_features(taught, known)
            self._projections.extend(map(open_projection, taught.features, known.features))

    @torch.no_grad()
    def _try_out(self, example: Batch) -> tuple[Answer, Answer]:
        """What student and teacher answer to one lesson, in evaluation mode. Raises InvalidRecipe."""
        student, teacher = self.network.eval(), self._teacher
        lesson = self._learner.lesson(example, self.batch_generator(0))
        check_outputs(student, teacher, lesson)
        taught, known = (self._learner.answer(network, lesson) for network in (student, teacher))
        check_answers(taught, known)
        return taught, known

    def build_optimiser(self) -> torch.optim.Optimizer:
        optimiser = super().build_optimiser()
        if len(self._projections):
            rate = self.recipe.optimiser.learning_rate
            group = {"params": list(self._projections.parameters()), "weight_decay": 0.0, "lr": rate}
            optimiser.add_param_group(group)
        return optimiser

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        lesson = self._learner.lesson(batch, self.batch_generator(batch_index))
        with torch.no_grad():
            known = self._learner.answer(self._teacher, lesson)
        taught = self._learner.answer(self.network, lesson)
        share, features = self._config.weight, self._config.feature_weight
        loss = (1 - share) * self._learner.loss(taught, lesson) + share * self._differ(taught, known)
        if features:
            loss = loss + features * self._differ_in_features(taught, known)
        return self.note(loss, taught)

    def _differ(self, taught: Answer, known: Answer) -> Tensor:
        """From the teacher's answers."""
        if not isinstance(taught, DetectionAnswer) or not isinstance(known, DetectionAnswer):
            return differ_in_shares(taught.logits, known.logits, self._config.temperature)
        student, teacher = self.network, self._teacher
        assert isinstance(student, Detector)
        assert isinstance(teacher, Detector)
        losses = [differ_in_objects((taught.guess.logits, taught.guess.boxes), (known.guess.logits, known.guess.boxes))]
        proposals = teacher.propose(known.guess)
        if proposals is not None:
            # Both say what they think of the same boxes, those of the teacher.
            second = teacher.look_again(known.guess, proposals)
            losses.append(differ_in_objects(student.look_again(taught.guess, proposals), second))
        return sum_of(losses)

    def _differ_in_features(self, taught: Answer, known: Answer) -> Tensor:
        """From what the teacher saw, all maps together."""
        projected = [project(each) for project, each in zip(self._projections, taught.features, strict=True)]
        return sum_of([differ_in_features(*pair) for pair in zip(projected, known.features, strict=True)])


def open_projection(taught: Tensor, known: Tensor) -> nn.Module:
    """A 1×1 convolution (on channels that stand last) where widths differ."""
    if taught.shape[-1] == known.shape[-1]:
        return nn.Identity()
    return nn.Linear(taught.shape[-1], known.shape[-1], bias=False)
