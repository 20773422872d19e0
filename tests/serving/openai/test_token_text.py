from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.openai.token_text import TokenText
from tasks.generation import TokenScore
from tasks.text import Tokenizer, train_byte_level_bpe

END = "<|end|>"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_bytes(train_byte_level_bpe(["naïve, but quick — even at 0 °C", "the list of the items"], 300, [END]))
    return Tokenizer(path)


def test_every_token_is_shown_as_what_it_is(tokenizer: Tokenizer) -> None:
    texts = TokenText(tokenizer)
    (the,), dash, end = tokenizer.encode("the"), tokenizer.encode("€"), tokenizer.token_id(END)
    assert end is not None
    assert texts.name(the) == "the"
    assert [texts.name(token) for token in dash] == ["bytes:\\xe2", "bytes:\\x82", "bytes:\\xac"]
    assert texts.name(end) == END
    assert texts.described(TokenScore(the, -0.5)) == {"token": "the", "logprob": -0.5, "bytes": [116, 104, 101]}
    assert texts.described(TokenScore(dash[0], -0.5)) == {"token": "\ufffd", "logprob": -0.5, "bytes": [0xE2]}
    assert texts.described(TokenScore(end, float("-inf"))) == {"token": END, "logprob": -9999.0, "bytes": None}


def test_offsets_count_characters_not_bytes(tokenizer: Tokenizer) -> None:
    texts, text = TokenText(tokenizer), "a—the €"
    offsets = [texts.offset_of_next(token) for token in tokenizer.encode(text)]
    assert offsets[0] == 0
    assert text[offsets[-1]] == "€"
    assert max(offsets) == len(text) - 1


@given(st.lists(st.integers(1, 256), max_size=12))
def test_whole_characters_stand_where_their_offset_says(tokenizer: Tokenizer, tokens: list[int]) -> None:
    texts = TokenText(tokenizer)
    content = b"".join(tokenizer.pieces[token] for token in tokens)
    text = content.decode(errors="replace")
    for token in tokens:
        offset, piece = texts.offset_of_next(token), tokenizer.pieces[token]
        if piece.isascii():
            assert text[offset:].startswith(piece.decode())
