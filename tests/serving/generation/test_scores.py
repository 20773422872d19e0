from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.generation.scores import Scores, best_tokens, log_sum

LOGITS = st.lists(st.integers(-64, 64).map(lambda eighths: eighths / 8), min_size=1, max_size=12)


@given(st.lists(st.integers(-30, 3), min_size=1, max_size=50), st.integers(1, 60))
def test_the_best_tokens_are_the_first_of_the_sorted(values: list[int], count: int) -> None:
    ranked = sorted(range(len(values)), key=lambda token: (-values[token], token))
    assert best_tokens(np.array(values, np.float32), count).tolist() == sorted(ranked[:count])


@given(LOGITS, st.integers(1, 5))
def test_log_probabilities_are_those_of_the_model(logits: list[float], count: int) -> None:
    scores = Scores(np.array([logits], np.float32))
    total = math.log(sum(map(math.exp, logits)))
    for token, logit in enumerate(logits):
        assert scores.logprob(0, token) == pytest.approx(logit - total, abs=1e-4)
    top = scores.top(0, count)
    ranked = sorted(range(len(logits)), key=lambda token: (-logits[token], token))
    assert [score.token for score in top] == ranked[:count]
    assert log_sum(np.array(logits, np.float32)) == pytest.approx(total, abs=1e-4)


def test_no_tops_are_looked_for_where_none_are_wanted() -> None:
    assert Scores(np.zeros((1, 4), np.float32)).top(0, 0) == ()
