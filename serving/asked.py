"""Asked: one picture or prompt of a request, as somebody sent it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from serving.logs import CURRENT_REQUEST


@dataclass(frozen=True, slots=True)
class Asked:
    """`request_id` and `index` are what feedback will call it. Either `picture` or `prompt` is there: an encoded
    picture, or a text or the messages of a conversation."""

    request_id: str
    index: int
    picture: bytes = b""
    prompt: str | Sequence[Mapping[str, str]] = ""

    @classmethod
    def now(cls, index: int, *, picture: bytes = b"", prompt: str | Sequence[Mapping[str, str]] = "") -> Asked:
        """Of the request that is being answered."""
        return cls(CURRENT_REQUEST.get(), index, picture, prompt)
