"""Single tokens as the API shows them: as text where they are text, and as bytes where they stand for any."""

from __future__ import annotations

import codecs
from typing import Any

from tasks.generation import TokenScore
from tasks.text import Tokenizer

LEAST_LOGPROB = -9999.0
"""What the API says of a token that can not come; JSON has no infinity."""


class TokenText:
    """The tokens of one answer in order. Knows at which character of the answer each begins."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._num_characters = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def offset_of_next(self, token: int) -> int:
        """The character that `token`, the next one, begins with, or is a part of."""
        content = self._tokenizer.pieces[token]
        pending, _ = self._decoder.getstate()
        # A character that was begun and does not go on has become U+FFFD, which stands before this token.
        is_broken_off = bool(pending and content) and content[0] & 0xC0 != 0x80
        offset = self._num_characters + is_broken_off
        self._num_characters += len(self._decoder.decode(content))
        return offset

    def name(self, token: int) -> str:
        """Its text; `bytes:\\xe2\\x82` for a part of a character, and its name in the vocabulary if it has no text."""
        content = self._tokenizer.pieces[token]
        if not content:
            return self._tokenizer.token_name(token) or f"token:{token}"
        try:
            return content.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in content)

    def described(self, score: TokenScore) -> dict[str, Any]:
        """Text, bytes and log-probability, as chat answers hold them."""
        content = self._tokenizer.pieces[score.token]
        return {
            "token": content.decode(errors="replace") if content else self.name(score.token),
            "logprob": finite(score.logprob),
            "bytes": list(content) if content else None,
        }


def finite(logprob: float) -> float:
    return max(logprob, LEAST_LOGPROB)
