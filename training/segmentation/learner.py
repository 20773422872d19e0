"""Learning to name every pixel: cross-entropy and Dice on augmented batches, mean IoU after every epoch."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassConfusionMatrix

from training.data.annotation import IGNORED
from training.data.augment import BatchAugmenter
from training.data.batches import Batch
from training.learner import Learner
from training.lesson import Answer, Lesson
from training.loss_config import SegmentationLoss
from training.networks.network import Trainable
from training.networks.segmenter import Segmenter
from training.recipe import Recipe
from training.segmentation.losses import MaskLoss
from training.segmentation.mask_metrics import intersection_over_union, mean_of_known


class SegmentationLearner(Learner):
    """`val_miou` is counted in pixels of the model's input, which is cheap; the final evaluation counts those of the
    originals."""

    monitored: ClassVar[str] = "val_miou"
    network: Segmenter

    def __init__(self, network: Segmenter, recipe: Recipe, num_classes: int) -> None:
        super().__init__(network, recipe)
        assert isinstance(recipe.loss, SegmentationLoss)
        self._mask_loss = MaskLoss(recipe.loss, num_classes)
        self._augmenter = BatchAugmenter(recipe.augment)
        self._val_loss = MeanMetric()
        self._confusion = MulticlassConfusionMatrix(num_classes, ignore_index=IGNORED, validate_args=False)

    def lesson(self, batch: Batch, generator: torch.Generator) -> Lesson:
        images, masks = batch
        images, masks = self._augmenter.augment_masks(images, masks, generator)
        return Lesson((images,), (masks,))

    def answer(self, network: Trainable, lesson: Lesson) -> Answer:
        assert isinstance(network, Segmenter)
        pixels = network.normalise(*lesson.inputs)
        with self.train_backbone():
            maps = network.backbone.features(pixels)
        logits = network.label_pixels(maps, pixels)
        return Answer(logits.movedim(1, -1), tuple(each.movedim(1, -1) for each in maps))

    def loss(self, answer: Answer, lesson: Lesson) -> Tensor:
        loss: Tensor = self._mask_loss(answer.logits.movedim(-1, 1), *lesson.targets)
        return loss

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        images, masks = batch
        logits, _ = self.network.segment(images)
        self._val_loss.update(self._mask_loss(logits, masks), weight=len(masks))
        self._confusion.update(logits.argmax(dim=1), masks.long())

    def on_validation_epoch_end(self) -> None:
        self.log("val_loss", self._val_loss, prog_bar=True)
        confusion = self._confusion.compute().cpu().numpy()
        self._confusion.reset()
        self.log(self.monitored, mean_of_known(intersection_over_union(confusion)), prog_bar=True)
