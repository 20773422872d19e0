"""The Learner: one network learning by one recipe, whatever the task. Tasks add their loss and their score."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import lightning.pytorch as pl
import torch
from torch import Tensor
from torchmetrics import MeanMetric

from training.data.batches import Batch
from training.lesson import Answer, Lesson
from training.networks.network import Trainable
from training.optimiser import build_optimiser, freeze_normalisation, learning_rate_factor
from training.recipe import Recipe


class Learner(pl.LightningModule):  # type: ignore[misc]
    """Subclasses implement `lesson`, `answer`, `loss`, and `validation_step` (logging `monitored`, and `val_loss` where
    they have one)."""

    monitored: ClassVar[str]
    """The score that decides which epoch is the best one, and when to stop early; `direction` says what is better."""
    direction: ClassVar[Literal["max", "min"]] = "max"
    validation_batch_factor: ClassVar[int] = 4
    """How many times as many examples fit into a batch where nothing is learnt from it."""

    def __init__(self, network: Trainable, recipe: Recipe) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self._train_loss = MeanMetric()

    def lesson(self, batch: Batch, generator: torch.Generator) -> Lesson:
        """A batch of the training data, augmented."""
        raise NotImplementedError

    def answer(self, network: Trainable, lesson: Lesson) -> Answer:
        """What a network of this kind makes of a lesson; gradients flow as far as `train_backbone` lets them."""
        raise NotImplementedError

    def loss(self, answer: Answer, lesson: Lesson) -> Tensor:
        """What an answer of the learner's own network costs: a scalar."""
        raise NotImplementedError

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        lesson = self.lesson(batch, self.batch_generator(batch_index))
        answer = self.answer(self.network, lesson)
        return self.note(self.loss(answer, lesson), answer)

    def note(self, loss: Tensor, answer: Answer) -> Tensor:
        """Counts a loss into `train_loss`, by the number of answers that it is the mean of."""
        self._train_loss.update(loss.detach(), len(answer.logits))
        self.log("train_loss", self._train_loss, on_step=False, on_epoch=True)
        return loss

    @property
    def backbone_frozen(self) -> bool:
        """Whether only what stands above the backbones learns in this epoch."""
        return bool(self.current_epoch < self.recipe.schedule.frozen_epochs)

    def train_backbone(self) -> torch.set_grad_enabled:
        """The context in which backbones are run. They are frozen by leaving out their gradients, not by
        `requires_grad`: data-parallel wrappers fix that at the start."""
        return torch.set_grad_enabled(torch.is_grad_enabled() and not self.backbone_frozen)

    def on_train_epoch_start(self) -> None:
        if self.backbone_frozen:
            for part in self.network.backbones():
                freeze_normalisation(part)

    def configure_optimizers(self) -> dict[str, Any]:
        optimiser = self.build_optimiser()
        total_steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: learning_rate_factor(step, total_steps, self.recipe.schedule)
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def build_optimiser(self) -> torch.optim.Optimizer:
        """Of all that learns."""
        return build_optimiser(self.network, self.recipe.optimiser)

    def batch_generator(self, batch_index: int) -> torch.Generator:
        """Randomness that depends on nothing but where training stands, so that a resumed run repeats it exactly."""
        generator = torch.Generator(device=self.device)
        place = (self.recipe.seed * 1_000 + self.current_epoch) * 1_000_000 + batch_index
        return generator.manual_seed((place * 64 + self.global_rank) % 2**63)
