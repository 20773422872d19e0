"""Learning to say what a picture shows: every next word of a caption is to be guessed from the picture and those before
it. Cross-entropy on augmented batches; after every epoch the share of words that would be guessed right."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import MeanMetric

from tasks.errors import InvalidRecipe
from training.captioning.targets import PADDING, shift_right
from training.data.augment import BatchAugmenter
from training.data.batches import Batch
from training.learner import Learner
from training.lesson import Answer, Lesson
from training.loss_config import CaptioningLoss
from training.networks.captioner import Captioner
from training.networks.network import Trainable
from training.recipe import Recipe


class CaptioningLearner(Learner):
    """Teacher forcing: the words before are always those of the caption itself."""

    monitored: ClassVar[str] = "val_token_accuracy"
    network: Captioner

    def __init__(self, network: Captioner, recipe: Recipe, begin_token: int) -> None:
        super().__init__(network, recipe)
        refuse_misleading(recipe)
        assert isinstance(recipe.loss, CaptioningLoss)
        self._smoothing = recipe.loss.label_smoothing
        self._augmenter = BatchAugmenter(recipe.augment)
        self._begin_token = begin_token
        self._val_loss, self._accuracy = MeanMetric(), MeanMetric()

    def lesson(self, batch: Batch, generator: torch.Generator) -> Lesson:
        images, captions = batch
        pixels = self._augmenter.augment(images, generator)
        chosen = choose_captions(captions, generator)
        is_there = chosen != PADDING
        return Lesson((pixels, shift_right(chosen, self._begin_token), is_there), (chosen[is_there],))

    def answer(self, network: Trainable, lesson: Lesson) -> Answer:
        assert isinstance(network, Captioner)
        pixels, tokens, is_there = lesson.inputs
        with self.train_backbone():
            view = network.see(pixels)
        logits = network.next_logits(view, tokens)[is_there].float()
        return Answer(logits, tuple(each.movedim(1, -1) for each in view.levels))

    def loss(self, answer: Answer, lesson: Lesson) -> Tensor:
        (wanted,) = lesson.targets
        return token_loss(answer.logits, wanted, self._smoothing)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        images, captions = batch
        judged = judge_tokens(self.network, images, captions, self._begin_token)
        self._val_loss.update(judged.loss, judged.num_tokens)
        self._accuracy.update(judged.num_right / judged.num_tokens, judged.num_tokens)
        self.log("val_loss", self._val_loss)
        self.log(self.monitored, self._accuracy, prog_bar=True)


class JudgedTokens(NamedTuple):
    """Tokens of captions, each guessed after the right ones: scalars. `loss` is a mean."""

    loss: Tensor
    num_right: Tensor
    num_tokens: Tensor


@torch.no_grad()
def judge_tokens(network: Captioner, images: Tensor, captions: Tensor, begin_token: int) -> JudgedTokens:
    """All captions [B, captions, length] of pictures uint8 [B, H, W, 3], each beside the features of its picture."""
    features, _ = network(images)
    is_there = captions[:, :, 0] != PADDING
    owners, _ = torch.nonzero(is_there, as_tuple=True)
    wanted = captions[is_there]
    logits = network.decoder(shift_right(wanted, begin_token), features[owners])
    num_right = (logits.argmax(dim=-1) == wanted).sum()
    return JudgedTokens(token_loss(logits, wanted), num_right, (wanted != PADDING).sum())


def token_loss(logits: Tensor, captions: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of tokens […] under logits […, vocabulary]; PADDING does not count."""
    return functional.cross_entropy(
        logits.float().flatten(0, -2), captions.flatten(), ignore_index=PADDING, label_smoothing=smoothing
    )


def choose_captions(captions: Tensor, generator: torch.Generator) -> Tensor:
    """One caption of each picture at random: [B, captions, length] → [B, length], cut to the longest of them."""
    counts = (captions[:, :, 0] != PADDING).sum(dim=1)
    share = torch.rand(len(captions), generator=generator, device=captions.device)
    index = (share * counts).long().clamp_max(captions.shape[1] - 1)
    chosen = captions[torch.arange(len(captions), device=captions.device), index]
    return chosen[:, : int((chosen != PADDING).sum(dim=1).max())]


def refuse_misleading(recipe: Recipe) -> None:
    """Raises InvalidRecipe for changes of a picture after which its caption is no longer true."""
    if recipe.augment.flip_horizontal:
        raise InvalidRecipe(
            f"{recipe.name}: augment.flip_horizontal makes left of right in the picture and not in its caption; "
            "leave it out"
        )
    if recipe.augment.mixup_alpha:
        raise InvalidRecipe(
            f"{recipe.name}: augment.mixup_alpha blends whole pictures, which no caption describes; leave it out"
        )
