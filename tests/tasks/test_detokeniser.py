"""Text that streams is the text of the whole, and never ends within a character."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.detokeniser import StreamDetokeniser
from tasks.text import Tokenizer
from tests.tokenizer_files import CORPUS, KINDS

TOKENS = st.lists(st.integers(0, 10**6), max_size=24)
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return KINDS[request.param](tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return KINDS["byte_level"](tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def sentence_piece(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return KINDS["sentence_piece"](tmp_path_factory.mktemp("tokenizer"))


def streamed(tokenizer: Tokenizer, before: list[int], answer: list[int]) -> str:
    stream = StreamDetokeniser(tokenizer, before)
    return "".join([*map(stream.push, answer), stream.flush()])


def decoded(tokenizer: Tokenizer, tokens: list[int]) -> str:
    """By the library, in one go."""
    return tokenizer.decode(tokens)


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet=st.sampled_from("".join(CORPUS) + "ÿ€𝄞")), cut=st.integers(0, 30))
def test_any_text_streams_as_the_library_decodes_it(tokenizer: Tokenizer, text: str, cut: int) -> None:
    tokens = tokenizer.encode(text)
    before, answer = tokens[:cut], tokens[cut:]
    prompt = StreamDetokeniser(tokenizer)
    said = "".join(map(prompt.push, before)) + streamed(tokenizer, before, answer)
    assert said == decoded(tokenizer, tokens)


@settings(max_examples=200, deadline=None)
@given(before=TOKENS, answer=TOKENS)
def test_any_tokens_stream_as_the_library_decodes_them(
    tokenizer: Tokenizer, before: list[int], answer: list[int]
) -> None:
    before, answer = ([token % (tokenizer.vocabulary + 3) for token in part] for part in (before, answer))
    prompt, whole = decoded(tokenizer, before), decoded(tokenizer, before + answer)
    if REPLACEMENT in whole or REPLACEMENT in prompt:
        return  # of bytes that are no character the library makes something else, see below
    assert prompt + streamed(tokenizer, before, answer) == whole


@settings(max_examples=200, deadline=None)
@given(answer=TOKENS)
def test_bytes_that_are_no_character_come_as_the_library_replaces_them(
    byte_level: Tokenizer, answer: list[int]
) -> None:
    answer = [token % byte_level.vocabulary for token in answer]
    assert streamed(byte_level, [], answer) == decoded(byte_level, answer)


@settings(max_examples=200, deadline=None)
@given(payload=st.binary(max_size=12))
def test_byte_fallback_keeps_the_characters_beside_a_wrong_byte(sentence_piece: Tokenizer, payload: bytes) -> None:
    names = [f"<0x{byte:02X}>" for byte in payload]
    tokens = [token for name in names if (token := sentence_piece.token_id(name)) is not None]
    assert streamed(sentence_piece, sentence_piece.encode("so"), tokens) == payload.decode(errors="replace")


@settings(max_examples=100, deadline=None)
@given(text=st.text(alphabet="aé€𝄞 日"))
def test_no_piece_ends_within_a_character(tokenizer: Tokenizer, text: str) -> None:
    stream = StreamDetokeniser(tokenizer)
    pieces = [*map(stream.push, tokenizer.encode(text))]
    assert all(REPLACEMENT not in piece for piece in pieces)
    assert stream.flush() == ""


def test_a_character_comes_with_its_last_byte(byte_level: Tokenizer) -> None:
    letters = {0xF0: "ð", 0x9D: "Ŀ", 0x84: "Ħ", 0x9E: "ŀ"}  # as byte-level vocabularies spell them
    tokens = [byte_level.token_id(letter) for letter in letters.values()]
    stream = StreamDetokeniser(byte_level)
    assert [stream.push(token) for token in tokens if token is not None] == ["", "", "", "𝄞"]


def test_what_is_left_of_a_character_comes_at_the_end(byte_level: Tokenizer) -> None:
    first, *_ = byte_level.encode("ÿ")
    stream = StreamDetokeniser(byte_level)
    assert (stream.push(first), stream.flush()) == ("", REPLACEMENT)


def test_an_answer_keeps_its_first_space(sentence_piece: Tokenizer) -> None:
    tokens = sentence_piece.encode("the fox")
    space = next(i for i, token in enumerate(tokens) if i and sentence_piece.pieces[token].startswith(b" "))
    assert streamed(sentence_piece, tokens[:space], tokens[space:]) == " fox"
    assert streamed(sentence_piece, [], tokens[space:]) == "fox"


def test_an_answer_to_nothing_but_special_tokens_begins_a_text(sentence_piece: Tokenizer) -> None:
    begin = sentence_piece.token_id("<s>")
    assert begin is not None
    assert streamed(sentence_piece, [begin], [begin, *sentence_piece.encode("the fox")]) == "the fox"


def test_an_answer_may_complete_the_last_character_of_its_prompt(byte_level: Tokenizer) -> None:
    first, *rest = byte_level.encode("ÿ")
    assert streamed(byte_level, [*byte_level.encode("the quick brown"), first], rest) == "ÿ"


def test_streams_do_not_disturb_each_other(byte_level: Tokenizer) -> None:
    first, *rest = byte_level.encode("ÿ")
    one, other = StreamDetokeniser(byte_level), StreamDetokeniser(byte_level)
    one.push(first)
    assert other.push(byte_level.encode("a")[0]) == "a"
    assert one.push(rest[0]) == "ÿ"
