"""Learning to find objects: the losses of the detector on augmented batches, average precision after every epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from tasks.detection_spec import DetectionSpec
from tasks.errors import InvalidRecipe
from training.data.annotation import Annotation
from training.data.augment import BatchAugmenter
from training.data.batches import Batch
from training.detection.candidates import annotate, detect
from training.detection.coco import Boxes, coco_metrics
from training.detection.targets import clip_targets
from training.learner import Learner
from training.lesson import Answer, Lesson
from training.networks.dense import DenseGuess
from training.networks.detector import Detector
from training.networks.network import Trainable
from training.recipe import Recipe

MONITORED_PICTURES = 1_000
"""How many validation pictures each process judges after an epoch: enough to tell epochs apart, in a few seconds."""


@dataclass(frozen=True)
class DetectionAnswer(Answer):
    """`logits` [B, A, classes] are those of `guess`; there are none where the detector does not show its own."""

    guess: Any


class DetectionLearner(Learner):
    """One detector learning by its own losses."""

    monitored: ClassVar[str] = "val_ap"
    network: Detector

    def __init__(self, network: Detector, recipe: Recipe, spec: DetectionSpec) -> None:
        super().__init__(network, recipe)
        refuse_mixup(recipe)
        self._augmenter = BatchAugmenter(recipe.augment)
        self._spec = spec
        self._truth: list[Annotation] = []
        self._found: list[Boxes] = []

    def lesson(self, batch: Batch, generator: torch.Generator) -> Lesson:
        images, boxes, class_ids = batch
        pixels, boxes = self._augmenter.augment_boxes(images, boxes, generator)
        return Lesson((pixels,), clip_targets(boxes, class_ids, *images.shape[1:3]))

    def answer(self, network: Trainable, lesson: Lesson) -> DetectionAnswer:
        assert isinstance(network, Detector)
        with self.train_backbone():
            maps = network.features(*lesson.inputs)
        guess = network.guess(maps)
        logits = guess.logits if isinstance(guess, DenseGuess) else maps[0].new_zeros(len(maps[0]), 0)
        return DetectionAnswer(logits, tuple(each.movedim(1, -1) for each in maps), guess)

    def loss(self, answer: Answer, lesson: Lesson) -> Tensor:
        assert isinstance(answer, DetectionAnswer)
        return torch.stack(list(self.network.losses(answer.guess, *lesson.targets).values())).sum()

    def on_validation_epoch_start(self) -> None:
        self._truth, self._found = [], []

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        images, boxes, class_ids = batch
        if len(self._truth) >= MONITORED_PICTURES:
            return
        candidates, scores, _ = self.network(images)
        self._found += detect(candidates, scores, self._spec)
        self._truth += annotate(*clip_targets(boxes, class_ids, *images.shape[1:3]))

    def on_validation_epoch_end(self) -> None:
        sizes = [(self._spec.image.height, self._spec.image.width)] * len(self._truth)
        figures = coco_metrics(self._truth, sizes, self._found, self._spec.labels)
        # No object in the pictures looked at: no detector is better than another.
        score = torch.tensor(figures.get("ap", 0.0), device=self.device)
        self.log(self.monitored, score, prog_bar=True, sync_dist=True)


def refuse_mixup(recipe: Recipe) -> None:
    """Raises InvalidRecipe for what only a classifier can learn from."""
    if recipe.augment.mixup_alpha:
        raise InvalidRecipe(
            f"{recipe.name}: augment.mixup_alpha blends whole pictures and their classes, which says nothing of boxes; "
            "leave it out"
        )
