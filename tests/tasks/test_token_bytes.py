"""Every token has its bytes, asked of the library once, and decoders that cannot be streamed are refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import InvalidPackage
from tasks.text import Tokenizer
from tasks.token_bytes import TokenBytes
from tasks.tokenizer_facts import AddedToken, TokenizerFacts, read_tokenizer_facts
from tests.tokenizer_files import KINDS

WORDS = {"<s>": 0, "a": 1, "b": 2, "<unk>": 3}


def pieces_of(decode: Callable[[Sequence[int]], str], **facts: Any) -> TokenBytes:
    special = (AddedToken(id=0, content="<s>", special=True),)
    return TokenBytes(WORDS, TokenizerFacts(added_tokens=special, **facts), decode, Path("tokenizer.json"))


def test_the_library_is_asked_once_for_a_token() -> None:
    asked: list[list[int]] = []

    def decode(tokens: Sequence[int]) -> str:
        asked.append(list(tokens))
        return " ".join("?ab?"[token] for token in tokens)

    pieces = pieces_of(decode)
    asked.clear()
    assert [pieces[2] for _ in range(1000)] == [b" b"] * 1000
    assert [pieces.opening(2) for _ in range(1000)] == [b"b"] * 1000
    assert len(asked) == 2


def test_special_tokens_and_ids_of_no_token_say_nothing(tmp_path: Path) -> None:
    tokenizer = KINDS["byte_level"](tmp_path)
    end = tokenizer.token_id("<|end|>")
    assert end is not None
    for token in (end, tokenizer.vocabulary, 10**9, -1):
        assert tokenizer.pieces[token] == tokenizer.pieces.opening(token) == b""
        assert tokenizer.pieces.is_silent(token)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("byte_level", "the ÿ", [False, False, True, True]),
        ("sentence_piece", "dog日", [False, False, True, True, True]),
        ("word_level", "the lazy astronaut", [False, False, True]),
    ],
)
def test_what_the_vocabulary_has_no_word_for(tmp_path: Path, kind: str, text: str, expected: list[bool]) -> None:
    tokenizer = KINDS[kind](tmp_path)
    assert [tokenizer.pieces.is_fallback(token) for token in tokenizer.encode(text)] == expected


STEPS: dict[str, tuple[dict[str, Any], str]] = {
    "the last token is another": ({"type": "BPEDecoder", "suffix": "</w>"}, "BPEDecoder cannot be streamed"),
    "repeats fall together": ({"type": "CTC"}, "CTC cannot be streamed"),
    "the end is stripped": ({"type": "Strip", "content": " ", "start": 0, "stop": 1}, "strips the end of a text"),
    "replaced across tokens": (
        {"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "Sequence", "decoders": [{"type": "Replace"}]}]},
        "replaces across tokens",
    ),
    "nobody knows": ({"type": "Oracle"}, "Oracle cannot be streamed"),
}


@pytest.mark.parametrize("what", STEPS)
def test_a_decoder_that_cannot_be_streamed_is_refused(what: str) -> None:
    decoder, message = STEPS[what]
    with pytest.raises(InvalidPackage) as caught:
        pieces_of(lambda tokens: "a", decoder=decoder)
    assert message in str(caught.value)


def test_a_vocabulary_without_a_letter_is_refused() -> None:
    with pytest.raises(InvalidPackage, match="no token with a letter"):
        pieces_of(lambda tokens: "!")


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"added_tokens": 1}', b"[" * 10**5])
def test_facts_of_what_is_no_tokenizer(content: bytes) -> None:
    with pytest.raises(InvalidPackage, match=r"words\.json is not a readable"):
        read_tokenizer_facts(content, Path("words.json"))


def test_a_tokenizer_that_says_nothing_of_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({"version": "1.0", "decoder": None}))
    with pytest.raises(InvalidPackage, match=r"not a readable tokenizer\.json"):
        Tokenizer(tmp_path / "tokenizer.json")
