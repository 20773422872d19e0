"""What the captions of a variant are worth beside those of the trained model: the figures that readers of papers know.

Bits per byte tell what a variant thinks of right sentences; these tell what it says by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from export.gates import at_most
from export.generative.continuation import Continuation
from export.generative.passage import Passage
from export.generative.recipe import GenerativeRecipe, GenerativeTolerances
from export.generative.subject import GenerativeSubject
from registry.manifest import GateResult
from tasks.captioning import Captioning
from tasks.generation import GenerativeTask
from tasks.text import Tokenizer
from training.captioning.caption_metrics import caption_metrics
from training.captioning.greedy import caption_greedily
from training.networks.captioner import Captioner

BATCH_SIZE = 32


@dataclass(frozen=True)
class CaptionJudge:
    """Held-out pictures: what the trained model says of each, and what would have been right."""

    task: Captioning
    trained: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]

    def metrics(self, continuations: Sequence[Continuation]) -> dict[str, float]:
        """Of a variant's captions of the same pictures, in the same order; and, with the prefix `trained_`, of the
        trained model's. `captions_changed`: share of those that differ."""
        said = [caption_text(each.tokens, self.task.end_tokens, self.task.tokenizer) for each in continuations]
        changed = sum(ours != theirs for ours, theirs in zip(said, self.trained, strict=True))
        trained = caption_metrics(self.trained, self.references)
        return {
            **caption_metrics(said, self.references),
            **{f"trained_{name}": value for name, value in trained.items()},
            "captions_changed": changed / max(1, len(said)),
        }


def open_caption_judge(
    subject: GenerativeSubject, task: GenerativeTask, passages: Sequence[Passage], recipe: GenerativeRecipe
) -> CaptionJudge | None:
    """Captions the pictures whose captions every variant is asked for. None for a model of texts."""
    if not isinstance(task, Captioning):
        return None
    assert isinstance(subject.encoder, Captioner)
    chosen = passages[: recipe.num_continuations]
    trained: list[str] = []
    for start in range(0, len(chosen), BATCH_SIZE):
        payloads = [passage.payload for passage in chosen[start : start + BATCH_SIZE]]
        samples = [task.encoder.sample_from_bytes(payload) for payload in payloads]
        images = np.stack([task.encoder.preprocess(sample)["image"] for sample in samples])
        # The token that ends a caption is one of those that a variant may say.
        tokens = caption_greedily(
            subject.encoder,
            torch.from_numpy(images),
            task.spec.begin_token,
            task.end_tokens,
            min(recipe.continuation_tokens, task.context - task.spec.positions - 1),
        )
        trained += [caption_text(each, task.end_tokens, task.tokenizer) for each in tokens]
    return CaptionJudge(task, tuple(trained), tuple(passage.references for passage in chosen))


def caption_text(tokens: Sequence[int], end_tokens: Collection[int], tokenizer: Tokenizer) -> str:
    """As a client reads it."""
    return tokenizer.decode([token for token in tokens if token not in end_tokens])


def caption_gates(metrics: Mapping[str, float], tolerances: GenerativeTolerances) -> tuple[GateResult, ...]:
    """Those of the limits that the recipe sets."""
    limits = [("exact_match", tolerances.max_exact_match_drop), ("cider", tolerances.max_cider_drop)]
    return tuple(
        at_most(f"{name}_drop", metrics[f"trained_{name}"] - metrics[name], limit)
        for name, limit in limits
        if limit is not None
    )
