"""What monitoring watches of prompts and answers: how long, how foreign, how sure, how repetitive, how they ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tasks.generation import Generated
from tasks.task import Category, Observation, Scalar, SignalSpec
from tasks.text import Tokenizer

REPEATED_TOKENS = 4
"""Length of the runs of tokens that are looked for twice: of four words few recur in sound prose."""
STOP_REASONS = ("end of text", "stop text", "length")

PROMPT_SIGNALS: Mapping[str, SignalSpec] = {
    name: SignalSpec(kind="scalar") for name in ("prompt_tokens", "prompt_fallback", "characters_per_token")
}
ANSWER_SIGNALS: Mapping[str, SignalSpec] = {
    **{name: SignalSpec(kind="scalar") for name in ("answer_tokens", "mean_logprob", "repetition")},
    "stop_reason": SignalSpec(kind="category", categories=STOP_REASONS),
}


def prompt_signals(tokens: Sequence[int], tokenizer: Tokenizer) -> dict[str, Observation]:
    """`prompt_fallback`: share of the tokens that are no word of the vocabulary (unknown, spelled bytes, parts of
    characters); `characters_per_token` falls with every text that the tokenizer was not made for. Special tokens do
    not count but for the length; of a prompt of nothing else the shares are left out."""
    signals: dict[str, Observation] = {"prompt_tokens": Scalar(float(len(tokens)))}
    pieces = tokenizer.pieces
    words = [token for token in tokens if pieces.is_fallback(token) or not pieces.is_silent(token)]
    if not words:
        return signals
    num_characters = len(b"".join(pieces[token] for token in words).decode("utf-8", "replace"))
    return signals | {
        "prompt_fallback": Scalar(sum(map(pieces.is_fallback, words)) / len(words)),
        "characters_per_token": Scalar(num_characters / len(words)),
    }


def answer_signals(answer: Generated) -> dict[str, Observation]:
    """`repetition`: share of the runs of four tokens that stood in the answer before. An answer of no token has no
    probability, and one of less than two runs repeats nothing."""
    signals: dict[str, Observation] = {
        "answer_tokens": Scalar(float(len(answer.tokens))),
        "repetition": Scalar(repeated_share(answer.tokens)),
        "stop_reason": Category(stop_reason(answer)),
    }
    if answer.logprobs:
        signals["mean_logprob"] = Scalar(sum(answer.logprobs) / len(answer.logprobs))
    return signals


def repeated_share(tokens: Sequence[int]) -> float:
    """Runs of four tokens that are not the first of their kind, over all runs (Holtzman et al., 2020)."""
    runs = [tuple(tokens[i : i + REPEATED_TOKENS]) for i in range(len(tokens) - REPEATED_TOKENS + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def stop_reason(answer: Generated) -> int:
    """Index into `STOP_REASONS`."""
    if answer.finish_reason == "length":
        return STOP_REASONS.index("length")
    return STOP_REASONS.index("stop text" if answer.stop_text else "end of text")
