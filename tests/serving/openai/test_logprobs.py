from __future__ import annotations

import math

import pytest
from openai.types.chat.chat_completion import ChoiceLogprobs
from openai.types.completion_choice import Logprobs

from serving.openai.logprobs import chat_logprobs, completion_logprobs
from serving.openai.token_text import LEAST_LOGPROB, TokenText
from tasks.generation import TokenScore
from tasks.text import Tokenizer
from tests.serving.openai.made import tokenizer_in


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return tokenizer_in(tmp_path_factory.mktemp("tokenizer"))


def scored(tokenizer: Tokenizer, text: str, logprob: float = -1.0) -> list[TokenScore]:
    return [TokenScore(token, logprob) for token in tokenizer.encode(text)]


def test_completions_have_columns_of_one_length(tokenizer: Tokenizer) -> None:
    scores, (other,) = scored(tokenizer, "the €"), scored(tokenizer, "a", -0.5)
    told = completion_logprobs(TokenText(tokenizer), scores, [[other]] * len(scores))
    read = Logprobs.model_validate(told)
    assert [len(column or ()) for column in (read.tokens, read.token_logprobs, read.text_offset)] == [len(scores)] * 3
    assert read.tokens is not None
    assert read.top_logprobs == [{"a": -0.5, token: -1.0} for token in read.tokens]


def test_what_was_chosen_is_shown_where_nothing_else_was_asked_for(tokenizer: Tokenizer) -> None:
    told = completion_logprobs(TokenText(tokenizer), scored(tokenizer, "the"), ())
    assert told["top_logprobs"] == [{"the": -1.0}]
    assert chat_logprobs(TokenText(tokenizer), scored(tokenizer, "the"), ())["content"][0]["top_logprobs"] == []


def test_offsets_go_on_from_piece_to_piece(tokenizer: Tokenizer) -> None:
    texts, scores = TokenText(tokenizer), scored(tokenizer, "the list of the items")
    at_once = completion_logprobs(TokenText(tokenizer), scores, ())["text_offset"]
    assert [completion_logprobs(texts, [score], ())["text_offset"][0] for score in scores] == at_once


def test_chats_have_tokens_that_spell_the_answer(tokenizer: Tokenizer) -> None:
    told = chat_logprobs(TokenText(tokenizer), scored(tokenizer, "0 °C €"), ())
    content = ChoiceLogprobs.model_validate(told).content or []
    assert b"".join(bytes(token.bytes or []) for token in content).decode() == "0 °C €"


def test_what_can_not_come_has_a_number_that_json_knows(tokenizer: Tokenizer) -> None:
    (chosen,) = scored(tokenizer, "the", -math.inf)
    columns = completion_logprobs(TokenText(tokenizer), [chosen], [[chosen]])
    assert (columns["token_logprobs"], columns["top_logprobs"]) == ([LEAST_LOGPROB], [{"the": LEAST_LOGPROB}])
    assert chat_logprobs(TokenText(tokenizer), [chosen], [[chosen]])["content"][0]["logprob"] == LEAST_LOGPROB
