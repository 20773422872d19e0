"""Greedy continuations, and the places where they leave those of the trained model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from export.generative.continuation import TIE, Continuation, find_divergence
from export.generative.golden import certain_tokens, choose_prompts, golden_arrays
from export.generative.speaker import Logits
from tasks.generation import Prompt
from tasks.task import Array

VOCABULARY = 6


def rows(*bests: tuple[int, float]) -> Logits:
    """Logits whose best token leads the next one, its neighbour, by so much."""
    found = np.full((len(bests), VOCABULARY), -9.0, np.float32)
    for row, (best, lead) in zip(found, bests, strict=True):
        row[best], row[(best + 1) % VOCABULARY] = 0.0, -lead
    return found


class Trained:
    """Says the same, whatever it is shown."""

    def __init__(self, *bests: tuple[int, float]) -> None:
        self._logits = rows(*bests)

    def encode(self, tensors: dict[str, Array]) -> dict[str, Array]:
        raise NotImplementedError

    def expect(self, prompt: Prompt, answer: Sequence[int]) -> Logits:
        return self._logits[: len(answer)]


def continued(tokens: list[int], margins: list[float], prompt_length: int = 1) -> Continuation:
    return Continuation(Prompt((0,) * prompt_length), rows((tokens[0], 1.0))[0], tokens, margins)


def test_the_same_tokens_do_not_diverge() -> None:
    each = continued([1, 2, 3], [1.0] * 3)
    assert find_divergence(Trained((1, 1.0), (2, 1.0), (3, 1.0)), each.prompt, each) is None


def test_the_first_other_token_is_named() -> None:
    each = continued([1, 4, 5], [1.0] * 3)
    assert find_divergence(Trained((1, 1.0), (2, 1.0), (3, 1.0)), each.prompt, each) == 1


def test_a_tie_may_go_either_way_and_ends_the_comparison() -> None:
    each = continued([1, 3, 0], [1.0] * 3)
    assert find_divergence(Trained((1, 1.0), (2, TIE / 2), (5, 1.0)), each.prompt, each) is None
    assert find_divergence(Trained((1, 1.0), (2, TIE * 2), (5, 1.0)), each.prompt, each) == 1


def test_margin_is_half_the_lead() -> None:
    each = Continuation(Prompt((0,)), rows((2, 0.5))[0])
    each.take(rows((2, 0.5))[0])
    assert each.tokens == [2]
    assert each.margins == pytest.approx([0.25])


def test_golden_tokens_end_before_the_first_uncertain_one() -> None:
    each = continued([1, 2, 3, 4], [0.5, 0.4, 0.1, 0.9])
    assert certain_tokens(each, 0.2, 4) == [1, 2]
    assert certain_tokens(each, 0.2, 1) == [1]
    assert certain_tokens(each, 0.6, 4) == []


def test_golden_prompts_are_certain_in_every_variant() -> None:
    sure, unsure = [1.0] * 4, [0.01] * 4
    fp32 = [continued([1, 2, 3, 4], sure, prompt_length=length) for length in (5, 3, 9, 7)]
    int8 = [continued([1, 2, 3, 4], margins) for margins in (sure, unsure, sure, unsure)]
    chosen = choose_prompts({"fp32": fp32, "int8": int8}, {"fp32": 0.001, "int8": 0.1}, 2, 4)
    assert sorted(chosen) == [0, 2]


def test_golden_arrays_are_padded() -> None:
    logits, continuation = golden_arrays([continued([1, 2], [1.0, 0.0]), continued([3], [0.0])], 0.5, 3)
    assert logits.shape == (2, VOCABULARY)
    assert continuation.tolist() == [[1, -1, -1], [-1, -1, -1]]
