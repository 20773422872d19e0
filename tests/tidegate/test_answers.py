"""The file of answers: whole lines only, and a run that goes on where the last one stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import BadInput, Conflict
from tidegate.answers import Answer, AnswerFile


def answer(name: str, version: str = "1") -> Answer:
    return Answer(file=name, model="digits", version=version, prediction={"classes": [["7", 7, 0.9]]})


def write(path: Path, *names: str) -> None:
    with AnswerFile(path, "digits", "1") as answers:
        for name in names:
            answers.append(answer(name))


def test_a_second_run_knows_what_is_answered_and_appends(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    write(path, "a.jpg", "b.jpg")
    with AnswerFile(path, "digits", "1") as answers:
        assert answers.answered == {"a.jpg", "b.jpg"}
        answers.append(answer("c.jpg"))
    assert [json.loads(line)["file"] for line in path.read_text().splitlines()] == ["a.jpg", "b.jpg", "c.jpg"]


@given(num_bytes_lost=st.integers(min_value=1, max_value=200))
def test_a_run_killed_anywhere_leaves_whole_answers(
    tmp_path_factory: pytest.TempPathFactory, num_bytes_lost: int
) -> None:
    path = tmp_path_factory.mktemp("answers") / "results.jsonl"
    write(path, "a.jpg", "b.jpg", "ü\n.jpg")
    content = path.read_bytes()
    path.write_bytes(content[: max(0, len(content) - num_bytes_lost)])
    with AnswerFile(path, "digits", "1") as answers:
        missing = [name for name in ("a.jpg", "b.jpg", "ü\n.jpg") if name not in answers.answered]
        for name in missing:
            answers.append(answer(name))
    assert path.read_bytes() == content


def test_answers_of_another_version_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    write(path, "a.jpg")
    with pytest.raises(Conflict, match=r"digits/1 .* digits/2"):
        AnswerFile(path, "digits", "2")


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text("not answers\n")
    with pytest.raises(BadInput, match="choose another"):
        AnswerFile(path, "digits", "1")
    assert path.read_text() == "not answers\n"
