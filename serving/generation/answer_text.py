"""AnswerText: the text of one answer as it grows, up to the stop text that may end it."""

from __future__ import annotations

from serving.generation.stop_texts import StopTexts
from tasks.text import Detokeniser


class AnswerText:
    """Tokens in, text out that is certain to stay."""

    def __init__(self, detokeniser: Detokeniser, stops: tuple[str, ...]) -> None:
        self._detokeniser = detokeniser
        self._stops = StopTexts(stops)
        self._pieces: list[str] = []

    @property
    def stop_text(self) -> str:
        """The one that has come, if one has."""
        return self._stops.found

    @property
    def text(self) -> str:
        """All that has been let out."""
        return "".join(self._pieces)

    def push(self, token: int) -> str:
        """The text that is certain now: may be empty."""
        return self._let_out(self._stops.push(self._detokeniser.push(token)))

    def flush(self) -> str:
        """What is left when no more tokens come."""
        rest = "" if self.stop_text else self._stops.push(self._detokeniser.flush())
        return self._let_out(rest + self._stops.flush())

    def _let_out(self, piece: str) -> str:
        self._pieces.append(piece)
        return piece
