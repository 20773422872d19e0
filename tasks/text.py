"""Text and tokens: the only file of the repository that imports `tokenizers`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from tasks.errors import BadInput, InvalidPackage
from tasks.token_bytes import TokenBytes
from tasks.tokenizer_facts import read_tokenizer_facts

MAX_TOKENIZER_BYTES = 256 * 2**20
"""Of a tokenizer.json. The largest in use have a quarter of a million tokens, in some thirty megabytes."""


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
        """Raises InvalidPackage for a file that is none, and for one whose text cannot be streamed."""
        try:
            if (num_bytes := path.stat().st_size) > MAX_TOKENIZER_BYTES:
                raise InvalidPackage(f"{path} has {num_bytes:,} bytes; at most {MAX_TOKENIZER_BYTES:,} are read")
            content = path.read_bytes()
        except OSError as error:
            raise InvalidPackage(f"the tokenizer {path} can not be read: {error}") from error
        facts = read_tokenizer_facts(content, path)
        try:
            self._tokenizer = tokenizers.Tokenizer.from_buffer(content)
        except Exception as error:  # the library raises a bare Exception
            raise InvalidPackage(f"{path} is not a readable tokenizer.json: {error}") from error
        # What a file may ask for in training, and what would lose, add or jumble tokens here.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        if isinstance(self._tokenizer.model, models.BPE):
            self._tokenizer.model.dropout = None
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
        self._size = max(vocabulary.values(), default=-1) + 1
        self._longest = max(map(len, vocabulary), default=1)
        self._bytes = TokenBytes(vocabulary, facts, self.decode, path)

    @property
    def vocabulary(self) -> int:
        """Number of ids, added ones included."""
        return self._size

    @property
    def longest_token(self) -> int:
        """In characters. Whatever stands for the unknown aside, a text of n tokens has no more than n times as many."""
        return self._longest

    def encode(self, text: str) -> list[int]:
        """Without any token that the text does not hold. Raises BadInput for text with half a surrogate pair, and for
        characters that the vocabulary has not, where nothing stands for the unknown."""
        try:
            ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        except TypeError as error:  # the library's word for text that has no UTF-8
            raise BadInput("the text has a lone surrogate (U+D800 to U+DFFF), which is no character") from error
        except Exception as error:  # the library raises a bare Exception
            raise BadInput(f"the model's tokenizer cannot spell this text: {error}") from error
        return ids

    def decode(self, tokens: Sequence[int]) -> str:
        """Special tokens left out."""
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text

    def token_id(self, token: str) -> int | None:
        """The id of a token by its name in the vocabulary."""
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def token_name(self, token: int) -> str | None:
        """The name of a token in the vocabulary, as it is written there."""
        name: str | None = self._tokenizer.id_to_token(token)
        return name

    @property
    def pieces(self) -> TokenBytes:
        """What each token stands for in a text, as bytes."""
        return self._bytes


def decode_text(payload: bytes, what: str = "the prompt") -> str:
    """UTF-8 → text. Raises BadInput naming the first byte that is none."""
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{what} is not valid UTF-8: byte {error.start} is 0x{payload[error.start]:02x} ({error.reason})"
        ) from error


def train_byte_level_bpe(texts: Iterable[str], vocabulary: int, special_tokens: Sequence[str]) -> bytes:
    """A tokenizer.json of byte-level pair encoding (Sennrich et al., 2016; Radford et al., 2019) with up to
    `vocabulary` tokens: the special ones first, from id 0 in their order, then the 256 bytes, then merges as they pay.

    The same texts give the same bytes. Nothing is unknown to it, and nothing is added to a text. Raises ValueError for
    a vocabulary that has no room for the bytes."""
    if vocabulary < 256 + len(special_tokens):
        raise ValueError(f"a vocabulary of {vocabulary} is too small for 256 bytes and {len(special_tokens)} tokens")
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(special_tokens),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    encoded: str = tokenizer.to_str()
    return encoded.encode()
