"""Learning to name pictures: cross-entropy on augmented batches, accuracy after every epoch."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from training.data.augment import BatchAugmenter, mix_up
from training.data.batches import Batch
from training.learner import Learner
from training.lesson import Answer, Lesson
from training.loss_config import ClassificationLoss
from training.networks.classifier import Classifier
from training.networks.network import Trainable
from training.recipe import Recipe


class ClassificationLearner(Learner):
    """One classifier learning by cross-entropy on augmented batches."""

    monitored: ClassVar[str] = "val_accuracy"
    network: Classifier

    def __init__(self, network: Classifier, recipe: Recipe) -> None:
        super().__init__(network, recipe)
        assert isinstance(recipe.loss, ClassificationLoss)
        self._label_smoothing = recipe.loss.label_smoothing
        self._augmenter = BatchAugmenter(recipe.augment)
        self._num_classes = network.head.out_features
        self._val_loss = MeanMetric()
        self._val_accuracy = MulticlassAccuracy(self._num_classes, average="micro")

    def lesson(self, batch: Batch, generator: torch.Generator) -> Lesson:
        images, targets = batch
        pixels = self._augmenter.augment(images, generator)
        shares = functional.one_hot(targets, self._num_classes).float()
        if self.recipe.augment.mixup_alpha:
            pixels, shares = mix_up(pixels, shares, self.recipe.augment.mixup_alpha, generator)
        return Lesson((pixels,), (shares,))

    def answer(self, network: Trainable, lesson: Lesson) -> Answer:
        assert isinstance(network, Classifier)
        with self.train_backbone():
            embedding = network.embed(*lesson.inputs)
        return Answer(network.head(embedding).float(), (embedding,))

    def loss(self, answer: Answer, lesson: Lesson) -> Tensor:
        (shares,) = lesson.targets
        return functional.cross_entropy(answer.logits, shares, label_smoothing=self._label_smoothing)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        images, targets = batch
        logits, _ = self.network(images)
        self._val_loss.update(functional.cross_entropy(logits, targets), weight=len(targets))
        self._val_accuracy.update(logits, targets)

    def on_validation_epoch_end(self) -> None:
        self.log("val_loss", self._val_loss, prog_bar=True)
        self.log(self.monitored, self._val_accuracy, prog_bar=True)
