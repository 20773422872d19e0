from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from tasks.errors import InvalidRecipe
from tasks.text import Tokenizer
from training.recipe import TokenizerConfig
from training.tokenizer_file import open_tokenizer_file

TEXTS = ["the cat sat on the mat", "the dog sat on the cat"]


def never() -> Iterable[str]:
    raise AssertionError("texts are not read again")


def test_it_is_learnt_once_and_found_again() -> None:
    config = TokenizerConfig(vocabulary=265)
    path = open_tokenizer_file(config, lambda: TEXTS, "digest")
    tokenizer = Tokenizer(path)
    assert tokenizer.vocabulary == 265
    assert tokenizer.decode(tokenizer.encode("the hat é")) == "the hat é"
    assert open_tokenizer_file(config, never, "digest") == path
    assert open_tokenizer_file(TokenizerConfig(vocabulary=266), lambda: TEXTS, "digest") != path
    assert open_tokenizer_file(config, lambda: TEXTS, "another digest") != path


def test_a_tokenizer_of_the_users_is_taken_as_it_is(tmp_path: Path) -> None:
    learnt = open_tokenizer_file(TokenizerConfig(vocabulary=265), lambda: TEXTS, "digest")
    (tmp_path / "mine.json").write_bytes(learnt.read_bytes())
    path = open_tokenizer_file(TokenizerConfig(path=str(tmp_path / "mine.json")), never, "other")
    assert path.name == "tokenizer.json"
    assert path.read_bytes() == learnt.read_bytes()
    with pytest.raises(InvalidRecipe, match="end_of_text"):
        open_tokenizer_file(TokenizerConfig(path=str(tmp_path / "mine.json"), end_of_text="</s>"), never, "other")


@pytest.mark.parametrize("content", [None, "", json.dumps({"model": 3}), "\x00"])
def test_a_file_that_is_none_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "mine.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InvalidRecipe, match=r"text\.tokenizer\.path.*mine\.json"):
        open_tokenizer_file(TokenizerConfig(path=str(path)), never, "digest")
