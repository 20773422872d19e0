"""How probable the tokens of an answer were, with their text."""

from __future__ import annotations

from pathlib import Path

from tasks.answers import token_logprobs
from tasks.generation import Generated, TokenScore
from tests.tokenizer_files import KINDS


def test_every_token_has_its_text_and_its_alternatives(tmp_path: Path) -> None:
    tokenizer = KINDS["byte_level"](tmp_path)
    the, half, end = tokenizer.encode("the")[0], tokenizer.encode("ÿ")[0], tokenizer.token_id("<|end|>")
    assert end is not None
    top = ((TokenScore(the, -0.5), TokenScore(end, -1.0)), (TokenScore(half, -2.0),))
    answer = Generated((the, half), "the", "length", (-0.5, -2.0), top)
    logprobs = token_logprobs(tokenizer, answer)
    assert logprobs is not None
    assert [(place.token, place.text, place.logprob) for place in logprobs] == [(the, "the", -0.5), (half, "�", -2.0)]
    assert [(best.text, best.logprob) for best in logprobs[0].top] == [("the", -0.5), ("<|end|>", -1.0)]


def test_the_chosen_tokens_alone_may_be_asked_for(tmp_path: Path) -> None:
    tokenizer = KINDS["byte_level"](tmp_path)
    tokens = tuple(tokenizer.encode("the fox"))
    answer = Generated(tokens, "the fox", "length", (-1.0,) * len(tokens), ((),) * len(tokens))
    logprobs = token_logprobs(tokenizer, answer)
    assert logprobs is not None
    assert "".join(place.text for place in logprobs) == "the fox"
    assert all(place.top == () for place in logprobs)


def test_nobody_who_did_not_ask_gets_them(tmp_path: Path) -> None:
    assert token_logprobs(KINDS["byte_level"](tmp_path), Generated((5,), "x", "stop", (-1.0,))) is None
