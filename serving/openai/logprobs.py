"""Log-probabilities in the two forms of the API: columns for completions, a list of tokens for chats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from serving.openai.token_text import TokenText, finite
from tasks.generation import TokenScore

Tops = Sequence[Sequence[TokenScore]]
"""The best tokens at each place, best first; nothing at all where none were asked for."""


def completion_logprobs(texts: TokenText, scores: Sequence[TokenScore], tops: Tops) -> dict[str, Any]:
    """The token that was chosen is always among the best shown."""
    return {
        "tokens": [texts.name(score.token) for score in scores],
        "token_logprobs": [finite(score.logprob) for score in scores],
        "top_logprobs": [
            {texts.name(one.token): finite(one.logprob) for one in (*best, score)}
            for score, best in with_best(scores, tops)
        ],
        "text_offset": [texts.offset_of_next(score.token) for score in scores],
    }


def chat_logprobs(texts: TokenText, scores: Sequence[TokenScore], tops: Tops) -> dict[str, Any]:
    return {
        "content": [
            texts.described(score) | {"top_logprobs": [texts.described(one) for one in best]}
            for score, best in with_best(scores, tops)
        ],
        "refusal": None,
    }


def with_best(scores: Sequence[TokenScore], tops: Tops) -> Iterable[tuple[TokenScore, Sequence[TokenScore]]]:
    """Each token beside the best at its place."""
    return zip(scores, tops or [()] * len(scores), strict=True)
