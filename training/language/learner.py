"""Learning to continue text: cross-entropy of every next token, bits per byte after every epoch."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import SumMetric

from training.data.batches import Batch
from training.language.windows import UNCOUNTED
from training.learner import Learner
from training.lesson import Answer, Lesson
from training.networks.language_network import LanguageNetwork
from training.networks.network import Trainable
from training.recipe import Recipe


class LanguageLearner(Learner):
    """`train_loss` and `val_loss` are nats per token."""

    monitored: ClassVar[str] = "val_bits_per_byte"
    direction: ClassVar[Literal["max", "min"]] = "min"
    # Logits of a whole vocabulary for every place: the largest tensors there are, learning or not.
    validation_batch_factor: ClassVar[int] = 1
    network: LanguageNetwork

    def __init__(self, network: LanguageNetwork, recipe: Recipe) -> None:
        super().__init__(network, recipe)
        self._nats, self._tokens, self._bytes = SumMetric(), SumMetric(), SumMetric()

    def lesson(self, batch: Batch, generator: torch.Generator) -> Lesson:
        inputs, targets = batch
        return Lesson((inputs,), (targets,))

    def answer(self, network: Trainable, lesson: Lesson) -> Answer:
        return Answer(network(*lesson.inputs).float(), ())

    def loss(self, answer: Answer, lesson: Lesson) -> Tensor:
        (targets,) = lesson.targets
        return functional.cross_entropy(answer.logits.flatten(0, 1), targets.flatten())

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        inputs, targets, num_bytes = batch
        self._nats.update(total_nats(self.network(inputs), targets))
        self._tokens.update((targets != UNCOUNTED).sum())
        self._bytes.update(num_bytes.sum())

    def on_validation_epoch_end(self) -> None:
        # Sums over all processes.
        nats, tokens, num_bytes = self._nats.compute(), self._tokens.compute(), self._bytes.compute()
        for total in (self._nats, self._tokens, self._bytes):
            total.reset()
        self.log("val_loss", nats / tokens)
        self.log(self.monitored, nats / math.log(2) / num_bytes, prog_bar=True)


def total_nats(logits: Tensor, targets: Tensor) -> Tensor:
    """The cost of all targets [B, L] that count, under logits [B, L, vocabulary]."""
    return functional.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), ignore_index=UNCOUNTED, reduction="sum"
    ).to(torch.float64 if logits.device.type != "mps" else torch.float32)
