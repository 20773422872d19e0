from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serving.generation.request import Delta
from serving.generation.sampled_answer import SampledAnswer
from serving.generation.scores import Scores
from serving.generation.writer import Turn
from tests.serving.generation.bench import END, request


def scores(best: int) -> Scores:
    logits = np.zeros((1, 16), np.float32)
    logits[0, best] = 5
    return Scores(logits)


def written(tokens: list[int], **params: Any) -> list[Turn]:
    """What becomes of an answer for which the model wants these tokens."""
    answer = SampledAnswer(request(temperature=0, **params), 0, params.get("max_tokens", 64))
    turns = [answer.begin(scores(tokens[0]))]
    for token in tokens[1:]:
        assert turns[-1].feeds, "it is over"
        turns.append(answer.advance(scores(token), 0))
    return turns


def last(turns: list[Turn]) -> Delta:
    (delta,) = turns[-1].deltas
    assert not turns[-1].feeds
    return delta


def test_the_token_that_ends_an_answer_is_no_part_of_it() -> None:
    delta = last(written([1, 2, END]))
    assert delta.tokens == ()
    assert delta.finished is not None
    assert (delta.finished.tokens, delta.finished.text) == ((1, 2), "bc")
    assert (delta.finished.finish_reason, len(delta.finished.logprobs)) == ("stop", 2)
    assert delta.finished.score == pytest.approx(sum(delta.finished.logprobs) / 2)


def test_an_end_may_be_ignored() -> None:
    delta = last(written([1, END, 2], ignore_end=True, max_tokens=3))
    assert delta.finished is not None
    assert (delta.finished.tokens, delta.finished.finish_reason) == ((1, END, 2), "length")


def test_an_answer_may_be_empty() -> None:
    finished = last(written([END])).finished
    assert finished is not None
    assert (finished.tokens, finished.text, finished.score) == ((), "", 0.0)


def test_each_token_is_fed_once() -> None:
    turns = written([3, 4, END])
    assert [[feed.token for feed in turn.feeds] for turn in turns] == [[3], [4], []]


def test_the_best_at_each_place_come_where_they_are_asked_for() -> None:
    turns = written([3, 4, END], logprobs=2)
    assert [[len(top) for top in turn.deltas[0].top_logprobs] for turn in turns] == [[2], [2], []]
    assert [turn.deltas[0].top_logprobs for turn in written([3, END])] == [(), ()]
