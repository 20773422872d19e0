"""What a trained captioner says of pictures it has not learnt from, and how good that is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from tasks.captioning import Captioning
from training.captioning.caption_metrics import caption_metrics
from training.captioning.greedy import caption_greedily
from training.captioning.learner import judge_tokens
from training.captioning.references import references_of
from training.data.batches import BatchDataset
from training.data.source import Split
from training.networks.captioner import Captioner
from training.progress import track

BATCH_SIZE = 64


@dataclass(frozen=True)
class Captioned:
    """A split: what was said of each picture, what would have been right, and the share of single tokens that would be
    guessed right after the right ones."""

    captions: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    token_accuracy: float

    @property
    def exact(self) -> tuple[bool, ...]:
        """Which captions are one of their references, letter for letter."""
        return tuple(said in right for said, right in zip(self.captions, self.references, strict=True))

    @cached_property
    def metrics(self) -> dict[str, float]:
        return {**caption_metrics(self.captions, self.references), "token_accuracy": self.token_accuracy}


class Speaker:
    """A captioner with the words of its task, in evaluation mode."""

    def __init__(self, network: Captioner, task: Captioning) -> None:
        self.network = network.eval()
        self.task = task
        self.device = next(network.parameters()).device

    def say(self, images: Tensor) -> list[list[int]]:
        """The tokens of one caption for each picture uint8 [B, H, W, 3], greedily."""
        spec = self.task.spec
        room = spec.context - spec.positions - 1
        return caption_greedily(self.network, images.to(self.device), spec.begin_token, spec.end_tokens, room)

    def text(self, tokens: list[int]) -> str:
        """As a client reads it."""
        return self.task.tokenizer.decode(tokens)


def measure(speaker: Speaker, split: Split, pixels: BatchDataset) -> Captioned:
    """Captions a whole split; `pixels` are its pictures as the network sees them, and its captions as tokens."""
    loader = torch.utils.data.DataLoader(
        pixels, batch_size=BATCH_SIZE, collate_fn=lambda batch: batch, num_workers=pixels.num_workers
    )
    captions, right, total = [], 0, 0
    device, begin = speaker.device, speaker.task.spec.begin_token
    for images, wanted in track(loader, "captioning held-out pictures", len(loader)):
        captions += [speaker.text(tokens) for tokens in speaker.say(images)]
        judged = judge_tokens(speaker.network, images.to(device), wanted.to(device), begin)
        right += int(judged.num_right)
        total += int(judged.num_tokens)
    return Captioned(tuple(captions), tuple(references_of(split)), right / total)
