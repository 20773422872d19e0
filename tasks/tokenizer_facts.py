"""What a tokenizer.json says about the way back from tokens to text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tasks.errors import InvalidPackage


class AddedToken(msgspec.Struct, frozen=True):
    """A token that was added to the vocabulary. Special ones steer the model and stand for no text."""

    id: int
    content: str
    special: bool = False


class TokenizerModel(msgspec.Struct, frozen=True):
    """What stands for anything that the vocabulary has not: by name, or by id."""

    unk_token: str | None = None
    unk_id: int | None = None


class TokenizerFacts(msgspec.Struct, frozen=True):
    """The fields of a tokenizer.json that this project reads itself; all others are the library's."""

    added_tokens: tuple[AddedToken, ...] = ()
    decoder: dict[str, Any] | None = None
    model: TokenizerModel = TokenizerModel()

    @property
    def decoder_steps(self) -> list[dict[str, Any]]:
        """The steps of the decoder in order, sequences unrolled."""
        return [] if self.decoder is None else unrolled(self.decoder)


def unrolled(step: dict[str, Any]) -> list[dict[str, Any]]:
    if step.get("type") != "Sequence":
        return [step]
    return [inner for part in step.get("decoders", []) for inner in unrolled(part)]


def read_tokenizer_facts(content: bytes, path: Path) -> TokenizerFacts:
    """Raises InvalidPackage for what is no tokenizer.json."""
    try:
        return msgspec.json.decode(content, type=TokenizerFacts)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidPackage(f"{path} is not a readable tokenizer.json: {error}") from error
