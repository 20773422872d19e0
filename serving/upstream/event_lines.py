"""The lines of an event stream, put together from whatever pieces the network delivers them in."""

from __future__ import annotations

from tasks.errors import NotReady

MAX_EVENT_BYTES = 4 * 2**20
"""An event is a line. The log-probabilities of a long prompt fit; a line that never ends must not fill our memory."""


class EventLines:
    """Of one stream. What was there before is not looked through again when more of its line comes."""

    def __init__(self) -> None:
        self._begun = bytearray()

    def push(self, piece: bytes) -> list[bytes]:
        """The lines that end in this piece, without their ends. Raises NotReady for a line that is too long."""
        self._begun += piece
        lines: list[bytes] = []
        if b"\n" in piece:
            *lines, begun = bytes(self._begun).split(b"\n")
            self._begun = bytearray(begun)
        if max(map(len, (*lines, self._begun))) > MAX_EVENT_BYTES:
            raise NotReady(
                f"the upstream server of this model sends an event of more than {MAX_EVENT_BYTES} bytes, which is the "
                "most that is passed on: ask for fewer log-probabilities, or without stream"
            )
        return [line.removesuffix(b"\r") for line in lines]
