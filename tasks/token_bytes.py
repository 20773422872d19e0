"""What each token stands for in a text, as bytes: a token may hold only a part of a character.

Byte-level vocabularies spell every byte as a printable character (Radford et al., 2019); vocabularies with byte
fallback have tokens `<0x00>` to `<0xFF>` for what they have no piece for (Kudo and Richardson, 2018). All others hold
whole characters, and what they stand for is asked of the library once, behind a token that takes the place of the text
before: decoders drop the space at the beginning of a text, and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.errors import InvalidPackage
from tasks.tokenizer_facts import TokenizerFacts

KNOWN_STEPS = {"ByteLevel", "ByteFallback", "Metaspace", "WordPiece", "Replace", "Fuse", "Strip"}
"""Decoders whose text grows at its end alone. Others change what was said before (BPEDecoder, CTC)."""
BYTE_NAME = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class TokenBytes:
    """Token → bytes. Thread-safe: answers are kept, and the same whoever computes them first."""

    def __init__(
        self, vocabulary: Mapping[str, int], facts: TokenizerFacts, decode: Callable[[Sequence[int]], str], path: Path
    ) -> None:
        """`decode` leaves special tokens out. Raises InvalidPackage for a decoder that cannot be streamed."""
        steps = {str(step.get("type")) for step in facts.decoder_steps}
        check_steps(facts.decoder_steps, path)
        self._names = {token: name for name, token in vocabulary.items()}
        self._special = frozenset(token.id for token in facts.added_tokens if token.special)
        self._is_byte_level = "ByteLevel" in steps
        self._has_fallback = "ByteFallback" in steps
        self._decode = decode
        self._unknown = facts.model.unk_id
        if facts.model.unk_token is not None:
            self._unknown = vocabulary.get(facts.model.unk_token)
        self._before = self._plain_token()
        self._before_text = decode([self._before])
        self._inside: dict[int, bytes] = {}
        self._opening: dict[int, bytes] = {}
        self._fallback: dict[int, bool] = {}

    def __getitem__(self, token: int) -> bytes:
        """What a token adds to a text that has begun; nothing for special tokens, and for ids without a token."""
        known = self._inside.get(token)
        if known is None:
            known = self._inside[token] = self._spelled(token, self._after_text)
        return known

    def opening(self, token: int) -> bytes:
        """What it stands for as the first of a text."""
        known = self._opening.get(token)
        if known is None:
            known = self._opening[token] = self._spelled(token, self._alone)
        return known

    def is_silent(self, token: int) -> bool:
        """Whether it is special, or no token at all: no part of any text."""
        return token in self._special or token not in self._names

    def is_fallback(self, token: int) -> bool:
        """Whether the vocabulary has no better word: an unknown, a spelled byte, a part of a character."""
        known = self._fallback.get(token)
        if known is None:
            known = self._fallback[token] = self._is_makeshift(token)
        return known

    def _is_makeshift(self, token: int) -> bool:
        if token == self._unknown or (self._has_fallback and BYTE_NAME.fullmatch(self._names.get(token, ""))):
            return True
        try:
            self[token].decode("utf-8")
        except UnicodeDecodeError:
            return True
        return False

    def _spelled(self, token: int, ask: Callable[[int], str]) -> bytes:
        if self.is_silent(token):
            return b""
        name = self._names[token]
        if self._has_fallback and (byte := BYTE_NAME.fullmatch(name)):
            return bytes([int(byte[1], 16)])
        if self._is_byte_level and all(letter in BYTE_OF for letter in name):
            return bytes(BYTE_OF[letter] for letter in name)
        return ask(token).encode("utf-8")

    def _after_text(self, token: int) -> str:
        return self._decode([self._before, token])[len(self._before_text) :]

    def _alone(self, token: int) -> str:
        return self._decode([token])

    def _plain_token(self) -> int:
        """A token with a letter or digit: whatever is stripped at the beginning of a text, it stays."""
        for token in sorted(self._names):
            if not self.is_silent(token) and any(map(str.isalnum, self._decode([token]))):
                return token
        raise InvalidPackage("the tokenizer has no token with a letter or digit, so it can spell no text")


def byte_letters() -> dict[str, int]:
    """The letters by which byte-level vocabularies spell the bytes: themselves where they are printed, and from
    U+0100 on, in order, where they are not."""
    printed = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printed)]
    return {chr(byte): byte for byte in printed} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


BYTE_OF = byte_letters()


def check_steps(steps: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Raises InvalidPackage for a decoder whose text cannot be told before its last token."""
    kinds = [str(step.get("type")) for step in steps]
    if unknown := sorted(set(kinds) - KNOWN_STEPS):
        raise InvalidPackage(
            f"{path}: text of the decoder {', '.join(unknown)} cannot be streamed; that of "
            f"{', '.join(sorted(KNOWN_STEPS))} can"
        )
    if any(step.get("type") == "Strip" and step.get("stop") for step in steps):
        raise InvalidPackage(
            f"{path}: its decoder strips the end of a text, which cannot be known while it is streamed"
        )
    if "Fuse" in kinds and "Replace" in kinds[kinds.index("Fuse") :]:
        raise InvalidPackage(
            f"{path}: its decoder replaces across tokens (Replace after Fuse), which cannot be streamed"
        )
