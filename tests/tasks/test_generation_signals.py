"""Signals of prompts and answers: one number or category each, moved by what ought to move them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.generation import Generated
from tasks.generation_signals import (
    ANSWER_SIGNALS,
    PROMPT_SIGNALS,
    STOP_REASONS,
    answer_signals,
    prompt_signals,
    repeated_share,
)
from tasks.task import Category, Scalar
from tasks.text import Tokenizer
from tests.tokenizer_files import KINDS


@pytest.fixture(scope="module", params=["byte_level", "sentence_piece", "word_level"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return KINDS[request.param](tmp_path_factory.mktemp("tokenizer"))


def value(signal: object) -> float:
    assert isinstance(signal, Scalar)
    return signal.value


def test_foreign_text_shows(tokenizer: Tokenizer) -> None:
    own = prompt_signals(tokenizer.encode("the quick brown fox jumps over the lazy dog"), tokenizer)
    foreign = prompt_signals(tokenizer.encode("Ωβγ δεζ ηθι"), tokenizer)
    assert value(own["prompt_fallback"]) == 0
    assert value(foreign["prompt_fallback"]) > 0.5
    assert value(foreign["characters_per_token"]) < value(own["characters_per_token"])


def test_characters_are_counted_whole(tmp_path: Path) -> None:
    tokenizer = KINDS["byte_level"](tmp_path)
    tokens = tokenizer.encode("日ÿ€ a")
    assert value(prompt_signals(tokens, tokenizer)["characters_per_token"]) == pytest.approx(5 / len(tokens))


def test_a_prompt_of_special_tokens_has_a_length_alone(tmp_path: Path) -> None:
    tokenizer = KINDS["byte_level"](tmp_path)
    end = tokenizer.token_id("<|end|>")
    assert end is not None
    assert prompt_signals([end], tokenizer) == {"prompt_tokens": Scalar(1.0)}


def test_a_sentence_over_and_over_is_repetition() -> None:
    assert repeated_share([1, 2, 3, 4, 5, 6, 7, 8, 9]) == 0
    assert repeated_share([1, 2, 3, 4] * 10) == pytest.approx(1 - 4 / 37)
    assert repeated_share([1, 2, 3]) == repeated_share([]) == 0


@given(st.lists(st.integers(0, 3)))
def test_repetition_is_a_share(tokens: list[int]) -> None:
    assert 0 <= repeated_share(tokens) < 1


@pytest.mark.parametrize(
    ("reason", "stop_text", "expected"),
    [("stop", "", "end of text"), ("stop", "\n\n", "stop text"), ("length", "", "length")],
)
def test_why_an_answer_ended(reason: str, stop_text: str, expected: str) -> None:
    answer = Generated((1, 2), "so", reason, (-1.0, -2.0), stop_text=stop_text)  # type: ignore[arg-type]
    signals = answer_signals(answer)
    assert signals["stop_reason"] == Category(STOP_REASONS.index(expected))
    assert signals["mean_logprob"] == Scalar(-1.5)
    assert signals["answer_tokens"] == Scalar(2.0)
    assert signals.keys() == ANSWER_SIGNALS.keys()


def test_an_answer_of_nothing_has_no_probability() -> None:
    signals = answer_signals(Generated((), "", "stop", ()))
    assert signals.keys() == ANSWER_SIGNALS.keys() - {"mean_logprob"}


def test_every_signal_is_a_number_or_a_category() -> None:
    assert {spec.kind for spec in (*PROMPT_SIGNALS.values(), *ANSWER_SIGNALS.values())} == {"scalar", "category"}
