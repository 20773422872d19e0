"""Streaming text: tokens in, whole characters out, at a constant cost per token."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from tasks.text import Tokenizer

PARTIAL_BYTES = 3
"""How much of a character the end of a prompt can hold: UTF-8 takes four bytes at most."""


class StreamDetokeniser:
    """The text of one answer. What it says in all is what the prompt's text grows by when the answer follows it.

    Bytes that are no character become U+FFFD, one for each maximal part (Unicode 16, section 3.9), and nothing is held
    back but the beginning of a character. One for each answer; not thread-safe."""

    def __init__(self, tokenizer: Tokenizer, before: Sequence[int] = ()) -> None:
        """`before`: the prompt's tokens. Where none of them stands for text, the answer begins one."""
        self._pieces = tokenizer.pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._is_opening = all(map(self._pieces.is_silent, before))
        self._decoder.decode(self._tail(before))

    def push(self, token: int) -> str:
        if self._is_opening:
            self._is_opening = self._pieces.is_silent(token)
            return self._decoder.decode(self._pieces.opening(token))
        return self._decoder.decode(self._pieces[token])

    def flush(self) -> str:
        return self._decoder.decode(b"", final=True)

    def _tail(self, before: Sequence[int]) -> bytes:
        """The last bytes of the prompt, in whole tokens: it may end within a character that the answer completes."""
        tail = b""
        for token in reversed(before):
            if len(tail) > PARTIAL_BYTES:
                break
            tail = self._pieces[token] + tail
        return tail
