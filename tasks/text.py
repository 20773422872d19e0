"""Text and tokens: the only file of the repository that imports `tokenizers`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import tokenizers

from tasks.errors import InvalidPackage


class Detokeniser(Protocol):
    """The text of one answer, token by token."""

    def push(self, token: int) -> str:
        """The text that is certain now: never a part of a character."""
        ...

    def flush(self) -> str:
        """What is left at the end; bytes that are no character become U+FFFD."""
        ...


class Tokenizer:
    """A tokenizer.json. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Raises InvalidPackage for a file that is none."""
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises a bare Exception
            raise InvalidPackage(f"{path} is not a readable tokenizer.json: {error}") from error

    @property
    def vocabulary(self) -> int:
        """Number of ids, added ones included."""
        size: int = self._tokenizer.get_vocab_size(with_added_tokens=True)
        return size

    def encode(self, text: str) -> list[int]:
        """Without any token that the text does not hold."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, tokens: Sequence[int]) -> str:
        """Special tokens left out."""
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text

    def token_id(self, token: str) -> int | None:
        """The id of a token by its name in the vocabulary."""
        found: int | None = self._tokenizer.token_to_id(token)
        return found
