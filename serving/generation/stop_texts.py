"""StopTexts: finds the texts that end an answer, whichever tokens they are spread over."""

from __future__ import annotations

from functools import lru_cache


class StopTexts:
    """Reads one answer piece by piece and lets through what can no longer become a part of a stop text.

    The answer ends before the stop text that is complete first, of those that end together before the longest: so it
    does not matter where tokens begin and end. Matching is by Knuth, Morris and Pratt: the work per character does not
    depend on how long the stop texts are.
    """

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._fallbacks = [fallbacks(stop) for stop in self._stops]
        self._matched = [0] * len(self._stops)
        self._held = ""
        self.found = ""
        """The stop text that has come, if one has; nothing is let through after it."""

    def push(self, piece: str) -> str:
        """More of the answer → what of it is certain to belong to it."""
        if self.found or not self._stops:
            return "" if self.found else piece
        self._held += piece
        start = len(self._held) - len(piece)
        for at, character in enumerate(piece, start + 1):
            self._match(character)
            if self.found:
                return self._let_through(at - len(self.found))
        return self._let_through(len(self._held) - max(self._matched))

    def flush(self) -> str:
        """The answer has ended otherwise: what was held back belongs to it."""
        return "" if self.found else self._let_through(len(self._held))

    def _match(self, character: str) -> None:
        for number, stop in enumerate(self._stops):
            matched = self._matched[number]
            while matched and stop[matched] != character:
                matched = self._fallbacks[number][matched]
            matched += stop[matched] == character
            self._matched[number] = matched
            if matched == len(stop) and matched > len(self.found):
                self.found = stop

    def _let_through(self, length: int) -> str:
        certain, self._held = self._held[:length], self._held[length:]
        return certain


@lru_cache(maxsize=256)
def fallbacks(stop: str) -> tuple[int, ...]:
    """At each length of what has matched: the next shorter beginning of `stop` that is also an end of it."""
    lengths, shorter = [0, 0], 0
    for character in stop[1:]:
        while shorter and stop[shorter] != character:
            shorter = lengths[shorter]
        shorter += stop[shorter] == character
        lengths.append(shorter)
    return tuple(lengths)
