"""What the predictions of generative tasks have in common: how an answer ended, and how probable its tokens were."""

from __future__ import annotations

import msgspec

from tasks.generation import Generated, TokenScore
from tasks.text import Tokenizer


class TokenAlternative(msgspec.Struct, frozen=True, kw_only=True):
    """A token that might have been, with the logarithm of its probability. `text` has U+FFFD for half characters."""

    token: int
    text: str
    logprob: float


class TokenLogprob(TokenAlternative, frozen=True, kw_only=True):
    """A token of the answer. `top`: the best at its place, best first."""

    top: tuple[TokenAlternative, ...] = ()


def token_logprobs(tokenizer: Tokenizer, answer: Generated) -> tuple[TokenLogprob, ...] | None:
    """Of every token of an answer; None where they were not asked for."""
    if not answer.top_logprobs:
        return None
    places = zip(answer.tokens, answer.logprobs, answer.top_logprobs, strict=True)
    return tuple(
        TokenLogprob(
            token=token,
            text=text_of(tokenizer, token),
            logprob=logprob,
            top=tuple(alternative(tokenizer, score) for score in best),
        )
        for token, logprob, best in places
    )


def alternative(tokenizer: Tokenizer, score: TokenScore) -> TokenAlternative:
    return TokenAlternative(token=score.token, text=text_of(tokenizer, score.token), logprob=score.logprob)


def text_of(tokenizer: Tokenizer, token: int) -> str:
    """Of one token within a text: a special one by its name."""
    if tokenizer.pieces.is_silent(token):
        return tokenizer.token_name(token) or ""
    return tokenizer.pieces[token].decode("utf-8", errors="replace")
