"""Learning to find objects: the losses of the detector on augmented batches, average precision after every epoch."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torchmetrics import MeanMetric

from tasks.detection_spec import DetectionSpec
from tasks.errors import InvalidRecipe
from training.data.annotation import Annotation
from training.data.augment import BatchAugmenter
from training.data.batches import Batch
from training.detection.candidates import annotate, detect
from training.detection.coco import Boxes, coco_metrics
from training.detection.targets import clip_targets
from training.learner import Learner
from training.networks.detector import Detector
from training.recipe import Recipe

MONITORED_PICTURES = 1_000
"""How many validation pictures each process judges after an epoch: enough to tell epochs apart, in a few seconds."""


class DetectionLearner(Learner):
    """One detector learning by its own losses."""

    monitored: ClassVar[str] = "val_ap"
    network: Detector

    def __init__(self, network: Detector, recipe: Recipe, spec: DetectionSpec) -> None:
        super().__init__(network, recipe)
        refuse_mixup(recipe)
        self._augmenter = BatchAugmenter(recipe.augment)
        self._spec = spec
        self._train_loss = MeanMetric()
        self._truth: list[Annotation] = []
        self._found: list[Boxes] = []

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        images, boxes, class_ids = batch
        pixels, boxes = self._augmenter.augment_boxes(images, boxes, self.batch_generator(batch_index))
        # Frozen by leaving out its gradients, not by `requires_grad`: data-parallel wrappers fix that at the start.
        with torch.set_grad_enabled(not self.backbone_frozen):
            maps = self.network.features(pixels)
        losses = self.network.losses(maps, *clip_targets(boxes, class_ids, *images.shape[1:3]))
        loss = torch.stack(list(losses.values())).sum()
        self._train_loss.update(loss.detach())
        self.log("train_loss", self._train_loss, on_step=False, on_epoch=True)
        return loss

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
