"""Text generation from prompt to prediction: lengths, chats, token prompts, tensors for the wire, signals."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.profile import build_profile
from tasks.errors import BadInput, Unsupported
from tasks.generation import Encoded, Generated, open_generative_task
from tasks.generation_params import GenerationParams
from tasks.task import parse_spec
from tasks.text import train_byte_level_bpe
from tasks.text_generation import TextGeneration
from tests.tokenizer_files import CORPUS

CONTEXT, END, USER = 64, 0, 1
TEMPLATE = "{{ bos_token }}{% for message in messages %}<|user|>{{ message.content }}{% endfor %}{{ eos_token }}"


def opened(folder: Path, **changes: object) -> TextGeneration:
    (folder / "tokenizer.json").write_bytes(train_byte_level_bpe(CORPUS, 320, ["<|end|>", "<|user|>"]))
    (folder / "chat.jinja").write_text(TEMPLATE)
    facts = {"kind": "text_generation", "vocabulary": 330, "context": CONTEXT, "begin_token": END, "end_tokens": [END]}
    task = open_generative_task(parse_spec({**facts, **changes}), folder)
    assert isinstance(task, TextGeneration)
    return task


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> TextGeneration:
    return opened(tmp_path_factory.mktemp("package"), chat_template="chat.jinja")


def test_a_prompt_follows_the_begin_token(task: TextGeneration, tmp_path: Path) -> None:
    prompt = task.prompt("the quick brown")
    assert prompt.tokens[0] == END
    assert task.tokenizer.decode(prompt.tokens) == "the quick brown"
    assert prompt.length == len(prompt.tokens)
    without = opened(tmp_path, begin_token=None)
    assert without.prompt("the quick brown").tokens == prompt.tokens[1:]


def test_a_prompt_leaves_room_for_a_token(task: TextGeneration) -> None:
    word = task.tokenizer.encode(" x")
    assert len(word) == 2
    longest = "".join([" x"] * ((CONTEXT - 2) // 2))
    assert task.prompt(longest).length == CONTEXT - 1
    with pytest.raises(BadInput, match=r"the prompt has 65 tokens; with a context of 64 it may have at most 63"):
        task.prompt(longest + " x")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the prompt is empty"),
        ("x" * 10**6, "1,000,000 characters, more than a context of 64 tokens can hold"),
        ("so \udcff long", "lone surrogate"),
    ],
)
def test_a_prompt_that_is_none(task: TextGeneration, text: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        task.prompt(text)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_any_prompt_is_taken_whole_or_refused(task: TextGeneration, text: str) -> None:
    try:
        prompt = task.prompt(text)
    except BadInput as error:
        assert not text or len(task.tokenizer.encode(text)) > CONTEXT - 2, error  # noqa: PT017
    else:
        assert task.tokenizer.decode(prompt.tokens) == text


def test_tokens_are_taken_as_they_are(task: TextGeneration) -> None:
    assert task.prompt_from_tokens([5, END, 329]).tokens == (5, END, 329)


@pytest.mark.parametrize(
    ("tokens", "complaint"),
    [
        ([], "the prompt is empty"),
        ([5, 330], "the prompt has token 330; the model has tokens 0 to 329"),
        ([-1], "token -1"),
        ([2**70], "the model has tokens 0 to 329"),
        ([5] * CONTEXT, "the prompt has 64 tokens"),
    ],
)
def test_tokens_that_are_no_prompt(task: TextGeneration, tokens: list[int], complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        task.prompt_from_tokens(tokens)


def test_a_chat_is_what_the_template_makes_of_it(task: TextGeneration) -> None:
    prompt = task.chat_prompt([{"role": "user", "content": "the fox"}])
    assert prompt.tokens == (END, USER, *task.tokenizer.encode("the fox"), END)
    with pytest.raises(BadInput, match="characters"):
        task.chat_prompt([{"role": "user", "content": "x" * 10**6}])


def test_without_a_template_nothing_chats(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"no chat template; send a prompt to /v1/completions"):
        opened(tmp_path).chat_prompt([{"role": "user", "content": "the fox"}])


def test_a_model_of_text_takes_no_pictures(task: TextGeneration) -> None:
    assert task.encoder is None
    with pytest.raises(Unsupported, match="takes no pictures"):
        task.prompt_of(Encoded(None, {}, {}))  # type: ignore[arg-type]


def test_the_package_s_defaults_reach_the_parameters(tmp_path: Path) -> None:
    task = opened(tmp_path, defaults={"temperature": 0.5, "max_tokens": 9})
    assert task.parse_params({"max_tokens": "4"}) == GenerationParams(temperature=0.5, max_tokens=4)


def answers(task: TextGeneration) -> list[Generated]:
    the = task.tokenizer.encode("the")[0]
    return [
        Generated((the,), "the", "stop", (-0.5,), score=-0.5, stop_text="\n"),
        Generated((the, the), "thethe", "length", (-1.0, -2.0), score=-1.5),
    ]


def test_the_prediction_says_what_was_said_and_why_it_ended(task: TextGeneration) -> None:
    prediction = task.finish(answers(task))
    assert msgspec.json.decode(msgspec.json.encode(prediction)) == {
        "choices": [
            {"text": "the", "finish_reason": "stop", "num_tokens": 1, "score": -0.5, "stop_text": "\n"},
            {"text": "thethe", "finish_reason": "length", "num_tokens": 2, "score": -1.5},
        ]
    }


def test_tensors_hold_what_their_specs_promise(task: TextGeneration) -> None:
    outputs = task.wire_outputs(task.finish(answers(task)))
    assert [spec.name for spec in task.wire_specs()] == list(outputs)
    assert outputs["text_output"].tolist() == [b"the", b"thethe"]
    assert outputs["finish_reason"].tolist() == [b"stop", b"length"]
    assert outputs["num_tokens"].tolist() == [1, 2]
    assert outputs["score"].tolist() == [-0.5, -1.5]


def test_signals_fill_a_profile(task: TextGeneration) -> None:
    observed = [task.signals(task.prompt(text), answers(task)[1], None) for text in ("the fox", "日本語", "a")]
    assert observed[0].keys() == task.signal_specs().keys()
    profile = build_profile(task.signal_specs(), observed)
    assert all(sum(histogram.counts) == 3 for histogram in profile.signals.values())
