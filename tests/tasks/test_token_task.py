"""What text generation and captioning do alike: facts, tokenizer, ends, spelling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tasks.errors import InvalidPackage
from tasks.generation import GenerativeTask, Prompt, open_generative_task
from tasks.task import parse_spec
from tasks.text import train_byte_level_bpe
from tests.tokenizer_files import CORPUS

BEGIN, END = 0, 1
OWN_FACTS: dict[str, dict[str, Any]] = {
    "text_generation": {},
    "captioning": {"image": {"height": 24, "width": 32}, "positions": 6},
}


@pytest.fixture(params=sorted(OWN_FACTS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def opened(folder: Path, kind: str, **changes: object) -> GenerativeTask:
    (folder / "tokenizer.json").write_bytes(train_byte_level_bpe(CORPUS, 300, ["<|begin|>", "<|end|>"]))
    facts = {"kind": kind, "vocabulary": 310, "context": 40, "begin_token": BEGIN, "end_tokens": [END]}
    return open_generative_task(parse_spec({**facts, **OWN_FACTS[kind], **changes}), folder)


def test_a_task_is_what_its_facts_say(tmp_path: Path, kind: str) -> None:
    task = opened(tmp_path, kind)
    assert (task.context, task.end_tokens, task.tokenizer.vocabulary) == (40, {END}, 300)
    assert parse_spec(msgspec.json.decode(msgspec.json.encode(task.spec))) == task.spec


@pytest.mark.parametrize(
    "changes",
    [
        {"end_tokens": [310]},
        {"begin_token": -1},
        {"context": 1},
        {"vocabulary": 0},
        {"defaults": {"seed": 1}},
        {"tokenizer": "a/b.json"},
        {"labels": ["a"]},
    ],
)
def test_facts_that_contradict_each_other(tmp_path: Path, kind: str, changes: dict[str, object]) -> None:
    with pytest.raises(InvalidPackage, match=f"task spec of kind '{kind}'"):
        opened(tmp_path, kind, **changes)


@pytest.mark.parametrize("defaults", [{"temperature": -1}, {"max_tokens": 2.5}, {"num_beams": 2, "top_k": 5}])
def test_defaults_must_be_parameters_that_fit_each_other(tmp_path: Path, kind: str, defaults: dict[str, float]) -> None:
    with pytest.raises(InvalidPackage, match="defaults are no parameters of generation"):
        opened(tmp_path, kind, defaults=defaults)


def test_the_tokenizer_of_another_model_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InvalidPackage, match=r"has 300 ids, but the model only 299: it belongs to another model"):
        opened(tmp_path, kind, vocabulary=299)


def test_text_streams_on_from_the_prompt(tmp_path: Path, kind: str) -> None:
    task = opened(tmp_path, kind)
    tokens = task.tokenizer.encode("the quick ÿ")
    stream = task.detokeniser(Prompt(tuple(tokens[:-1])))
    assert stream.push(tokens[-1]) == "ÿ"
