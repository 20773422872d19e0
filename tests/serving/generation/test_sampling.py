from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from serving.generation.sampling import BLOCK, Sampler, nucleus_size, passed_at, sample
from serving.generation.scores import Scores
from tasks.errors import BadInput, NotReady
from tasks.generation_params import GenerationParams

LOGITS = st.lists(st.integers(-64, 64).map(lambda eighths: eighths / 8), min_size=1, max_size=12)
NARROWING = st.fixed_dictionaries(
    {"temperature": st.floats(0.1, 5)},
    optional={
        "top_k": st.integers(0, 13),
        "top_p": st.floats(0.01, 1),
        "min_p": st.floats(0, 1),
    },
)


class Reference:
    """What may be chosen, by the book: sorted lists, one filter after the other."""

    def __init__(self, logits: list[float], params: GenerationParams) -> None:
        weights = {token: math.exp(logit / params.temperature) for token, logit in enumerate(logits)}
        ranked = sorted(weights, key=lambda token: (-logits[token], token))
        ranked = ranked[: params.top_k] if params.top_k else ranked
        total, kept, self.margins = sum(weights[token] for token in ranked), list[int](), [1.0]
        for token in ranked:
            shares = sum(weights[token] for token in kept) / total, weights[token] / weights[ranked[0]]
            if kept and params.top_p < 1:
                self.margins.append(abs(shares[0] - params.top_p))
            if kept:
                self.margins.append(abs(shares[1] - params.min_p) if params.min_p else 1.0)
            if not kept or ((shares[0] < params.top_p or params.top_p == 1) and shares[1] >= params.min_p):
                kept.append(token)
        total = sum(weights[token] for token in kept)
        self.probabilities = {token: weights[token] / total for token in sorted(kept)}

    @property
    def is_borderline(self) -> bool:
        """Whether only rounding decides what is kept."""
        return min(self.margins) < 1e-5


@settings(max_examples=300)
@given(LOGITS, NARROWING, st.floats(0, 1, exclude_max=True))
def test_the_choice_is_the_one_by_the_book(logits: list[float], given_params: dict[str, Any], uniform: float) -> None:
    params = GenerationParams(**given_params)
    reference = Reference(logits, params)
    assume(not reference.is_borderline)
    kept = reference.probabilities
    token = sample(np.array(logits, np.float32), params, uniform)
    assert token in kept
    passed = sum(probability for other, probability in kept.items() if other < token)
    assert passed - 1e-4 <= uniform <= passed + kept[token] + 1e-4


@pytest.mark.parametrize(
    "narrowed", [{}, {"temperature": 0.7}, {"top_k": 5}, {"top_p": 0.8}, {"min_p": 0.1}, {"top_k": 20, "top_p": 0.9}]
)
def test_frequencies_are_the_probabilities(narrowed: dict[str, Any]) -> None:
    """χ² of 20,000 choices with a fixed seed; tokens that hardly ever come are counted as one."""
    params = GenerationParams(**narrowed)
    logits = np.random.default_rng(1).normal(0, 2, 50).astype(np.float32)
    expected = Reference(logits.tolist(), params).probabilities
    random = np.random.default_rng(2)
    counts = np.bincount([sample(logits, params, random.random()) for _ in range(20_000)], minlength=50)
    assert counts.sum() == sum(counts[token] for token in expected)
    often = [token for token in expected if expected[token] > 0.0005]
    observed = [*counts[often], 20_000 - counts[often].sum() + 1]
    wanted = [20_000 * expected[token] for token in often]
    wanted.append(20_001 - sum(wanted))
    assert stats.chisquare(observed, wanted).pvalue > 0.01


@given(st.integers(1, 2 * BLOCK), st.floats(0.01, 0.999), st.integers(0, 5), st.sampled_from([0.1, 1, 5]))
def test_a_nucleus_is_as_large_as_it_must_be(size: int, top_p: float, seed: int, spread: float) -> None:
    logits = np.random.default_rng(seed).normal(0, spread, size)
    weights = np.exp(logits - logits.max()).astype(np.float32)
    found = nucleus_size(weights, top_p)
    best = np.sort(weights)[::-1].astype(np.float64)
    assert best[:found].sum() >= top_p * best.sum() * (1 - 1e-9)
    assert best[: found - 1].sum() < top_p * best.sum() * (1 + 1e-9)


@given(st.integers(1, 3 * BLOCK), st.integers(0, 5), st.floats(0, 1, exclude_max=True))
def test_the_place_is_the_one_where_the_sum_passes(size: int, seed: int, uniform: float) -> None:
    weights = np.random.default_rng(seed).integers(0, 4, size).astype(np.float32)
    weights[seed % size] = 1
    sums = weights.astype(np.float64).cumsum()
    assert passed_at(weights, uniform) == np.flatnonzero(sums > uniform * sums[-1])[0]
    assert weights[passed_at(weights, np.nextafter(1.0, 0.0))] > 0


def test_equal_logits_are_chosen_by_their_order() -> None:
    params = GenerationParams(top_k=3)
    chosen = {sample(np.zeros(9, np.float32), params, uniform) for uniform in (0.0, 0.4, 0.99)}
    assert chosen == {0, 1, 2}


@given(st.integers(0, 2**63 - 1), st.integers(0, 15), st.floats(0, 5))
def test_a_row_is_chosen_from_alone(seed: int, choice: int, temperature: float) -> None:
    """The same seed and the same logits: the same tokens, in any row of any run."""
    params = GenerationParams(seed=seed, temperature=temperature, top_p=0.9)
    rows = np.random.default_rng(seed % 1000).normal(0, 3, (5, 40)).astype(np.float32)
    alone, beside = Sampler(params, (), choice), Sampler(params, (), choice)
    for row in range(5):
        shuffled = np.roll(rows, 2, axis=0)
        together, single = Scores(shuffled), Scores(rows[row : row + 1])
        assert alone.choose(single, 0, None) == beside.choose(together, (row + 2) % 5, None)
        assert single.logprob(0, 7) == together.logprob((row + 2) % 5, 7)


def test_choices_of_one_seed_differ() -> None:
    scores = Scores(np.zeros((1, 1000), np.float32))
    tokens = {Sampler(GenerationParams(seed=3), (), choice).choose(scores, 0, None) for choice in range(8)}
    assert len(tokens) == 8


def test_bias_and_penalties_change_what_is_best() -> None:
    scores = Scores(np.array([[1, 2, 3, -1]], np.float32))

    def best(prompt: tuple[int, ...] = (), answer: tuple[int, ...] = (), **params: Any) -> int:
        sampler = Sampler(GenerationParams(temperature=0, **params), prompt, 0)
        for token in answer:
            sampler.advance(token)
        return sampler.choose(scores, 0, None)

    assert best() == 2
    assert best(logit_bias={3: 10.0}) == 3
    assert best(prompt=(2,), repetition_penalty=2.0) == 1
    assert best(prompt=(0, 1, 2), repetition_penalty=0.1) == 2, "below 1 repetition is sought"
    assert best(prompt=(2,), presence_penalty=2.0) == 2, "presence looks at the answer alone"
    assert best(answer=(2,), presence_penalty=1.5) == 1
    assert best(answer=(2,), frequency_penalty=0.6) == 2
    assert best(answer=(2, 2), frequency_penalty=0.6) == 1
    assert scores.logits.tolist() == [[1, 2, 3, -1]], "what others read is as it was"


def test_negative_logits_are_multiplied_by_the_repetition_penalty() -> None:
    scores = Scores(np.array([[-1, -1.5]], np.float32))
    sampler = Sampler(GenerationParams(temperature=0, repetition_penalty=2.0), (0,), 0)
    assert sampler.choose(scores, 0, None) == 1


def test_only_allowed_tokens_are_chosen() -> None:
    scores = Scores(np.array([[5, 4, 3]], np.float32))
    sampler = Sampler(GenerationParams(temperature=0), (), 0)
    assert sampler.choose(scores, 0, np.array([False, False, True])) == 2
    with pytest.raises(BadInput, match="leaves no token"):
        sampler.choose(scores, 0, np.zeros(3, np.bool_))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_refused_and_others_not(bad: float) -> None:
    scores = Scores(np.array([[1, bad, 2], [1, 3, 2], [-np.inf, -np.inf, -np.inf]], np.float32))
    sampler = Sampler(GenerationParams(temperature=0), (), 0)
    assert sampler.choose(scores, 1, None) == 1
    for row in (0, 2):
        with pytest.raises(NotReady, match="not finite"):
            sampler.choose(scores, row, None)
