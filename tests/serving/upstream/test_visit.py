from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from serving.generation.request import Usage
from serving.generation.statistics import GenerationStatistics
from serving.upstream.visit import Visit
from tasks.errors import BadInput, DeadlineExceeded, NotReady, Overloaded
from tasks.generation import Generated
from tasks.generation_signals import STOP_REASONS
from tasks.task import Category, Observation, Scalar
from tests.serving.upstream.told import fields

USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}


class Visited:
    """A visit, and what is told of it."""

    def __init__(self) -> None:
        self.statistics = GenerationStatistics(0)
        self.watched: list[Mapping[str, Observation]] = []
        self.num_left = 0
        self.heard: list[str] = []
        self.visit = Visit(self.statistics, self.watched.append, self._leave, self._hear)

    def _leave(self) -> None:
        self.num_left += 1

    def _hear(self, answers: Sequence[Generated]) -> None:
        self.heard += [answer.text for answer in answers]

    def note(self, *choices: Mapping[str, Any], **more: Any) -> None:
        self.visit.note_piece(fields({"choices": choices, **more}))


@pytest.fixture
def visited() -> Visited:
    return Visited()


def piece(text: str, end: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    return {"index": index, "text": text, "finish_reason": end, **more}


def test_pieces_add_up_to_an_answer(visited: Visited) -> None:
    for text, logprob in (("a", -1.0), ("b", -3.0)):
        visited.note(piece(text, logprobs={"token_logprobs": [logprob]}))
    visited.note(piece("", "length"))
    visited.note(usage=USAGE)
    (answer,) = visited.visit.answers()
    assert (answer.text, answer.finish_reason, len(answer.tokens)) == ("ab", "length", 2)
    assert (answer.logprobs, answer.score) == ((-1.0, -3.0), -2.0)
    assert visited.visit.usage == Usage(7, 4, 2)


@pytest.mark.parametrize("said", [{"message": {"content": "ab"}}, {"delta": {"content": "ab"}}, {"text": "ab"}])
def test_chats_and_completions_are_read_alike(visited: Visited, said: dict[str, Any]) -> None:
    visited.note({"index": 0, "finish_reason": "stop", **said}, usage=USAGE)
    assert [answer.text for answer in visited.visit.answers()] == ["ab"]


def test_an_answer_that_comes_as_a_whole_has_no_first_token(visited: Visited) -> None:
    visited.visit.note(fields({"choices": [piece("ab", "stop")], "usage": USAGE}))
    visited.visit.succeed()
    assert [answer.text for answer in visited.visit.answers()] == ["ab"]
    seen = visited.statistics
    assert (seen.first_token.count, seen.token.count, seen.total.count) == (0, 0, 1)


def test_the_text_that_ended_it_is_told(visited: Visited) -> None:
    visited.note(piece("a", "stop", stop_reason="END"), piece("b", "stop", 1, stop_reason=128_009), usage=USAGE)
    assert [answer.stop_text for answer in visited.visit.answers()] == ["END", ""]


def test_choices_are_kept_apart(visited: Visited) -> None:
    visited.note(piece("b", index=1), piece("a"))
    visited.note(piece("B", "stop", 1))
    visited.note(piece("A", "length"), usage=USAGE)
    assert [answer.text for answer in visited.visit.answers()] == ["aA", "bB"]


def test_an_answer_is_counted_and_watched_once(visited: Visited) -> None:
    visited.note(piece("a"))
    visited.note(piece("b", "length", logprobs={"content": [{"logprob": -0.5}]}), usage=USAGE)
    visited.visit.succeed()
    visited.visit.leave()
    visited.visit.fail(NotReady("too late"))
    seen = visited.statistics
    assert (seen.num_prompt_tokens, seen.num_cached_tokens, seen.num_completion_tokens) == (7, 4, 2)
    assert (seen.first_token.count, seen.token.count, seen.total.count) == (1, 1, 1)
    assert (seen.finished, seen.num_cancelled, seen.num_failed) == ({"length": 1}, 0, 0)
    assert visited.num_left == 1
    (signals,) = visited.watched
    assert signals == {
        "prompt_tokens": Scalar(7.0),
        "answer_tokens": Scalar(2.0),
        "stop_reason": Category(STOP_REASONS.index("length")),
        "mean_logprob": Scalar(-0.5),
    }


def test_of_several_answers_none_is_watched(visited: Visited) -> None:
    visited.note(piece("a", "stop"), piece("b", "stop", 1), usage=USAGE)
    visited.visit.succeed()
    assert visited.watched == []
    assert visited.statistics.finished == {"stop": 2}


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (DeadlineExceeded("x"), "num_expired"),
        (Overloaded("x"), "num_refused"),
        (NotReady("x"), "num_failed"),
        (ZeroDivisionError("x"), "num_failed"),
        (asyncio.CancelledError(), "num_cancelled"),
        (GeneratorExit(), "num_cancelled"),
        (BadInput("x"), ""),
    ],
)
def test_how_it_failed_is_counted(visited: Visited, error: BaseException, counted: str) -> None:
    visited.note(piece("a"))
    visited.visit.fail(error)
    visited.visit.succeed()
    names = ("num_expired", "num_refused", "num_failed", "num_cancelled")
    assert [name for name in names if getattr(visited.statistics, name)] == ([counted] if counted else [])
    assert visited.statistics.total.count == 0
    assert (visited.num_left, visited.watched) == (1, [])


def test_who_leaves_is_counted_once(visited: Visited) -> None:
    visited.visit.leave()
    visited.visit.leave()
    assert (visited.statistics.num_cancelled, visited.num_left) == (1, 1)


def test_answers_are_heard_once_they_are_whole(visited: Visited) -> None:
    visited.note(piece("a"), piece("x", "stop", index=1))
    visited.note(piece("b", "stop"))
    assert visited.heard == []
    visited.visit.succeed()
    visited.visit.succeed()
    assert visited.heard == ["ab", "x"]


def test_answers_that_broke_off_are_not_heard(visited: Visited) -> None:
    visited.note(piece("a"))
    visited.visit.fail(NotReady("gone"))
    assert visited.heard == []
