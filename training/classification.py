"""Training a classifier: its loss, its metrics of every epoch, its task spec."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from tasks.classification import ClassificationSpec
from training.data.augment import BatchAugmenter, mix_up
from training.data.pixels import Batch
from training.models.model import Classifier
from training.optimiser import build_optimiser, freeze_normalisation, learning_rate_factor
from training.recipe import Recipe

MONITORED = "val_accuracy"
"""What decides which epoch is the best one, and when to stop early; higher is better."""


class ClassificationTraining(pl.LightningModule):  # type: ignore[misc]
    """One classifier learning by cross-entropy on augmented batches."""

    def __init__(self, model: Classifier, recipe: Recipe) -> None:
        super().__init__()
        self.model = model
        self._recipe = recipe
        self._augmenter = BatchAugmenter(recipe.augment)
        num_classes = model.head.out_features
        self._train_loss = MeanMetric()
        self._val_loss = MeanMetric()
        self._val_accuracy = MulticlassAccuracy(num_classes, average="micro")

    @property
    def backbone_frozen(self) -> bool:
        """Whether only the head learns in this epoch."""
        return bool(self.current_epoch < self._recipe.schedule.frozen_epochs)

    def on_train_epoch_start(self) -> None:
        if self.backbone_frozen:
            freeze_normalisation(self.model.backbone)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        images, targets = batch
        generator = self._batch_generator(batch_index)
        pixels = self._augmenter.augment(images, generator)
        shares = functional.one_hot(targets, self.model.head.out_features).float()
        if self._recipe.augment.mixup_alpha:
            pixels, shares = mix_up(pixels, shares, self._recipe.augment.mixup_alpha, generator)
        # Frozen by leaving out its gradients, not by `requires_grad`: data-parallel wrappers fix that at the start.
        with torch.set_grad_enabled(not self.backbone_frozen):
            embedding = self.model.embed(pixels)
        smoothing = self._recipe.loss.label_smoothing
        loss = functional.cross_entropy(self.model.head(embedding).float(), shares, label_smoothing=smoothing)
        self._train_loss.update(loss.detach())
        self.log("train_loss", self._train_loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        images, targets = batch
        logits, _ = self.model(images)
        self._val_loss.update(functional.cross_entropy(logits, targets), weight=len(targets))
        self._val_accuracy.update(logits, targets)

    def on_validation_epoch_end(self) -> None:
        self.log("val_loss", self._val_loss, prog_bar=True)
        self.log(MONITORED, self._val_accuracy, prog_bar=True)

    def configure_optimizers(self) -> dict[str, Any]:
        optimiser = build_optimiser(self.model, self._recipe.optimiser)
        total_steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: learning_rate_factor(step, total_steps, self._recipe.schedule)
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _batch_generator(self, batch_index: int) -> torch.Generator:
        """Randomness that depends on nothing but where training stands, so that a resumed run repeats it exactly."""
        generator = torch.Generator(device=self.device)
        place = (self._recipe.seed * 1_000 + self.current_epoch) * 1_000_000 + batch_index
        return generator.manual_seed((place * 64 + self.global_rank) % 2**63)


def build_spec(labels: tuple[str, ...], recipe: Recipe, temperature: float = 1.0) -> ClassificationSpec:
    """The task that a recipe trains for."""
    return ClassificationSpec(labels=labels, image=recipe.image, temperature=temperature)
