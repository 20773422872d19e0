"""The answers of `tidegate predict`: one JSON object a line, safe to stop and to go on with."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec

from tasks.errors import BadInput, Conflict, TidegateError


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one file: a prediction in the task's own shape, or an error with its kind."""

    file: str
    model: str
    version: str
    prediction: Any = None
    error: str = ""
    error_kind: str = ""


def failure(file: str, model: str, version: str, error: TidegateError) -> Answer:
    """Of a file that could not be answered."""
    return Answer(file=file, model=model, version=version, error=str(error), error_kind=error.kind)


class AnswerSink(Protocol):
    """Where answers go."""

    def append(self, answer: Answer) -> None: ...


class AnswerStream:
    """Answers on an open file descriptor, such as stdout; nothing is remembered."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def append(self, answer: Answer) -> None:
        write_line(self._descriptor, answer)


class AnswerFile:
    """Answers appended to a file. What it already holds is not asked again: see `answered`.

    Each answer is one write of one line. A line that a kill cut short is removed when the file is opened again.
    """

    def __init__(self, path: Path, model: str, version: str) -> None:
        """Raises Conflict where the file holds answers of another model or version, BadInput for other content."""
        self.answered: frozenset[str] = frozenset()
        if path.exists():
            drop_torn_line(path)
            self.answered = frozenset(answer.file for answer in read_answers(path, model, version))
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def append(self, answer: Answer) -> None:
        write_line(self._descriptor, answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)


def write_line(descriptor: int, answer: Answer) -> None:
    """The whole line in as few writes as the system allows: one, for a file."""
    line = memoryview(msgspec.json.encode(answer) + b"\n")
    while line:
        line = line[os.write(descriptor, line) :]


def drop_torn_line(path: Path) -> None:
    """Cut the file after its last complete line."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        os.truncate(path, whole)


def read_answers(path: Path, model: str, version: str) -> list[Answer]:
    """The answers that an interrupted run left."""
    try:
        answers = msgspec.json.Decoder(Answer).decode_lines(path.read_bytes())
    except msgspec.MsgspecError as error:
        raise BadInput(f"{path} is not a file of answers ({error}); choose another one with --out") from error
    for answer in answers:
        if (answer.model, answer.version) != (model, version):
            raise Conflict(
                f"{path} holds answers of {answer.model}/{answer.version} and this run would add those of "
                f"{model}/{version}; choose another file with --out"
            )
    return answers
