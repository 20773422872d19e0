"""Greedy continuations of many prompts, by the decoder that a server would run: several slots, of all lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from export.generative.speaker import Logits, Speaker
from serving.generation.decoder import Decoder, Step
from tasks.generation import Prompt
from training.progress import track

TIE = 1e-4
"""Two logits of the trained model that are closer than this may change places."""


@dataclass
class Continuation:
    """`margins[i]`: by how much every logit may move before another token is the best at place i."""

    prompt: Prompt
    first_logits: Logits
    """FP32 [vocabulary], after the prompt."""
    tokens: list[int] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)

    def take(self, logits: Logits) -> None:
        second, best = np.partition(logits.astype(np.float64), -2)[-2:]
        self.tokens.append(int(logits.argmax()))
        self.margins.append(float(best - second) / 2)


def continue_prompts(
    decoder: Decoder, prompts: Sequence[Prompt], num_tokens: int, end_tokens: frozenset[int]
) -> list[Continuation]:
    """At most `num_tokens` for each prompt, fewer where it ends or the context does; the token that ended it is among
    them. A slot that has finished takes the next prompt at once, so that rows of different lengths run together."""
    found: list[Continuation] = []
    running: dict[int, Continuation] = {}
    waiting = iter(track(prompts, "continuing prompts", len(prompts)))
    while True:
        for slot in range(decoder.num_slots):
            if slot not in running and (prompt := next(waiting, None)) is not None:
                logits = decoder.prefill(slot, prompt.tokens, 0, prompt.features)
                assert logits is not None
                running[slot] = Continuation(prompt, logits.copy())
                running[slot].take(logits)
                found.append(running[slot])
        running = {
            slot: each for slot, each in running.items() if not is_over(each, num_tokens, end_tokens, decoder.context)
        }
        if not running and len(found) == len(prompts):
            return found
        steps = [
            Step(slot, each.tokens[-1], each.prompt.length + len(each.tokens) - 1) for slot, each in running.items()
        ]
        if steps:
            for step, logits in zip(steps, decoder.decode(steps, {}), strict=True):
                running[step.slot].take(logits)


def is_over(each: Continuation, num_tokens: int, end_tokens: frozenset[int], context: int) -> bool:
    is_full = each.prompt.length + len(each.tokens) >= context
    return len(each.tokens) >= num_tokens or each.tokens[-1] in end_tokens or is_full


def find_divergence(trained: Speaker, prompt: Prompt, each: Continuation) -> int | None:
    """The first place at which the trained model would have said something else; None if there is none, or if its two
    best logits were tied there, from where on nothing can be compared.

    The trained model is shown the continuation: as long as it would have chosen the very tokens itself, that is what it
    would have said, and one look at the whole text answers for all of it. `prompt`: what the trained model makes of the
    input."""
    expected = trained.expect(prompt, each.tokens)
    for place, (logits, token) in enumerate(zip(expected, each.tokens, strict=True)):
        if int(logits.argmax()) != token:
            second, best = np.partition(logits, -2)[-2:]
            return None if best - second < TIE else place
    return None
