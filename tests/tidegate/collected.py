from __future__ import annotations

from tidegate.answers import Answer


class Collected:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []

    def append(self, answer: Answer) -> None:
        self.answers.append(answer)
