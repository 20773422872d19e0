"""Tokenizers: opened strictly, trained deterministically, and unable to lose a character."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import BadInput, InvalidPackage
from tasks.text import Tokenizer, decode_text, train_byte_level_bpe
from tests.tokenizer_files import CORPUS, KINDS


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_bytes(train_byte_level_bpe(CORPUS, 400, ["<|end|>", "<|user|>"]))
    return Tokenizer(path)


def test_special_tokens_come_first_and_then_all_bytes(trained: Tokenizer) -> None:
    assert (trained.token_id("<|end|>"), trained.token_id("<|user|>")) == (0, 1)
    assert {trained.pieces[token] for token in range(2, 258)} == {bytes([byte]) for byte in range(256)}
    assert trained.vocabulary <= 400


def test_the_same_texts_train_the_same_tokenizer() -> None:
    assert train_byte_level_bpe(CORPUS, 400, ["<|end|>"]) == train_byte_level_bpe(iter(CORPUS), 400, ["<|end|>"])


def test_a_vocabulary_must_hold_the_bytes() -> None:
    with pytest.raises(ValueError, match="257 is too small for 256 bytes and 2 tokens"):
        train_byte_level_bpe(CORPUS, 257, ["a", "b"])


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_no_text_is_lost_or_grows(trained: Tokenizer, text: str) -> None:
    tokens = trained.encode(text)
    assert trained.decode(tokens) == text
    assert b"".join(trained.pieces[token] for token in tokens).decode() == text
    assert len(text) <= len(tokens) * trained.longest_token


def test_half_a_surrogate_pair_is_no_text(trained: Tokenizer) -> None:
    with pytest.raises(BadInput, match="lone surrogate"):
        trained.encode("so \ud83d long")


def test_a_text_that_the_vocabulary_cannot_spell(tmp_path: Path) -> None:
    KINDS["metaspace"](tmp_path)
    path = tmp_path / "tokenizer.json"
    facts = json.loads(path.read_bytes())
    facts["model"]["unk_id"] = None
    path.write_text(json.dumps(facts))
    with pytest.raises(BadInput, match="cannot spell this text"):
        Tokenizer(path).encode("Ω")


def test_what_a_file_says_about_training_is_left_to_training(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    facts = json.loads(train_byte_level_bpe(CORPUS, 300, ["<|end|>"]))
    facts["truncation"] = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    facts["model"]["dropout"] = 0.9
    facts["padding"] = {
        "strategy": {"Fixed": 64},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "<|end|>",
    }
    path.write_text(json.dumps(facts))
    tokenizer = Tokenizer(path)
    tokens = tokenizer.encode(CORPUS[0])
    assert tokenizer.decode(tokens) == CORPUS[0]
    assert 0 not in tokens
    assert all(tokenizer.encode(CORPUS[0]) == tokens for _ in range(20))


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b"\xff\xfe", b'{"model": {"type": "BPE"}}'])
def test_a_file_that_is_no_tokenizer(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(InvalidPackage, match=r"tokenizer\.json"):
        Tokenizer(tmp_path / "tokenizer.json")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidPackage, match="can not be read"):
        Tokenizer(tmp_path / "tokenizer.json")


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_utf8_is_read(text: str) -> None:
    assert decode_text(text.encode()) == text


@pytest.mark.parametrize(("payload", "place"), [(b"ab\xff", 2), (b"\xc3", 0), (b"a\xed\xa0\x80", 1), (b"\xc0\x80", 0)])
def test_what_is_no_utf8_is_refused_with_its_place(payload: bytes, place: int) -> None:
    with pytest.raises(BadInput, match=f"the prompt is not valid UTF-8: byte {place} is 0x{payload[place]:02x}"):
        decode_text(payload)
