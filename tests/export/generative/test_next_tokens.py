"""Surprise, confidence and classes of tokens, against figures worked out by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.generative.next_tokens import TOKEN_CLASSES, NextTokens, class_tokens
from export.generative.passage import Passage
from export.generative.trial import GenerativeTrial


def logits(*rows: list[float]) -> np.ndarray:
    return np.log(np.array(rows, np.float32))


def test_bits_confidence_and_right_tokens() -> None:
    tokens = NextTokens()
    tokens.add(logits([0.5, 0.25, 0.25], [0.125, 0.75, 0.125]), (1, 1))
    tokens.add(logits([0.5, 0.25, 0.25]), (0,))
    assert tokens.bits == [pytest.approx(2 + np.log2(4 / 3)), pytest.approx(1)]
    assert tokens.right.tolist() == [False, True, True]
    assert tokens.confidence == pytest.approx([0.5, 0.75, 0.5])


def test_each_class_is_a_fifth_of_the_text_from_common_to_rare() -> None:
    classes = class_tokens(np.array([7] * 20 + [3] * 20 + [1] * 20 + [9] * 20 + list(range(100, 120))))
    assert np.bincount(classes).tolist() == [20] * 5
    assert set(classes[-20:].tolist()) == {4}


def test_token_that_is_half_of_the_text_is_common_and_nothing_else() -> None:
    classes = class_tokens(np.array([5] * 50 + list(range(100, 150))))
    assert set(classes[:50].tolist()) == {0}
    assert set(classes[50:].tolist()) == {2, 3, 4}


@given(st.lists(st.integers(0, 30), max_size=80))
def test_no_token_is_in_a_class_above_one_that_is_more_common(tokens: list[int]) -> None:
    classes = class_tokens(np.array(tokens, np.int64))
    assert len(classes) == len(tokens)
    counts = {token: tokens.count(token) for token in tokens}
    by_class = [[counts[token] for token, each in zip(tokens, classes, strict=True) if each == c] for c in range(5)]
    seen = [(min(found), max(found)) for found in by_class if found]
    assert all(rarer[1] <= commoner[0] for commoner, rarer in pairwise(seen))


def test_trial_scores_some_passages() -> None:
    trial, even = GenerativeTrial(), logits([0.5, 0.25, 0.25])
    trial.compare(Passage(b"", (0,), 2), even, even)
    trial.compare(Passage(b"", (1,), 1), even, even)
    assert trial.score([0]) == pytest.approx(0.5)
    assert trial.score([0, 1]) == pytest.approx(1.0) == pytest.approx(trial.metrics()["bits_per_byte"])
    assert math.isnan(trial.score([]))


def test_trial_says_which_tokens_were_lost_and_how_calibration_changed() -> None:
    trial, sure, wrong = GenerativeTrial(), [0.98, 0.01, 0.01], [0.01, 0.98, 0.01]
    common, rare = [0] * 40, [1, 2] * 5
    for token in [*common, *rare]:
        row = [0.98 if place == token else 0.01 for place in range(3)]
        after = row if token == 0 else (wrong if token == 2 else sure)
        trial.compare(Passage(b"", (token,), 1), logits(row), logits(after))
    first, *others = (each for each in trial.per_class() if each.support)
    assert (first.label, first.support, first.trained, first.variant) == (TOKEN_CLASSES[0], 40, 1.0, 1.0)
    assert sum(each.support for each in others) == 10
    assert all((each.trained, each.variant) == (1.0, 0.0) for each in others)
    metrics = trial.metrics()
    assert metrics["trained_expected_calibration_error"] == pytest.approx(0.02, abs=1e-3)
    assert metrics["expected_calibration_error"] == pytest.approx(0.18, abs=1e-3)
    assert metrics["decision_agreement"] == pytest.approx(0.8)
