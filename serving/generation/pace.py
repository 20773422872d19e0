"""Pace: how much of the waiting prompts a step may take in, by what runs of the decoder were measured to cost."""

from __future__ import annotations

MIN_PIECE = 8
"""Tokens. A run over fewer costs hardly less: it reads the same weights."""
BUSY_SHARE = 1.0
"""While answers are flowing, a step may spend this many times a decoding run on prompts: those who read along then
wait about twice as long for their next token as without any prompts, and prompts get half of the machine."""
IDLE_S = 0.5
"""While none are flowing, a step may take this long: prompts that came together start together, and a caller who
leaves is noticed."""
NEWEST_SHARE = 0.3
"""Of each measurement in the running mean."""


class Pace:
    """Running means of what a decoding run takes, and a token of a prompt."""

    def __init__(self) -> None:
        self._decode_s = 0.0
        self._prompt_token_s = 0.0

    def decoded(self, seconds: float) -> None:
        self._decode_s = mean(self._decode_s, seconds)

    def prefilled(self, num_tokens: int, seconds: float) -> None:
        self._prompt_token_s = mean(self._prompt_token_s, seconds / max(num_tokens, MIN_PIECE))

    def allowance(self, num_flowing: int, most: int) -> int:
        """Tokens of prompts that the next step may take in, MIN_PIECE … `most`."""
        if not self._prompt_token_s:
            return MIN_PIECE if num_flowing else most
        seconds = BUSY_SHARE * self._decode_s if num_flowing else IDLE_S
        # Few different lengths: a runtime may prepare itself for each.
        tokens = int(seconds / self._prompt_token_s) // 4 * 4
        return max(MIN_PIECE, min(tokens, most))


def mean(before: float, newest: float) -> float:
    """A single slow run, as the first one of a shape often is, counts as at most two ordinary ones."""
    return before + NEWEST_SHARE * (min(newest, 2 * before) - before) if before else newest
