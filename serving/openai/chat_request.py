"""The body of POST /v1/chat/completions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from serving.openai.error_body import BadField
from serving.openai.request import Request

MAX_MESSAGES = 2_048


class Part(msgspec.Struct, frozen=True):
    """A piece of a message's content."""

    type: str
    text: str | None = None


class Message(msgspec.Struct, frozen=True):
    """Fields beside these are for tools and audio; what they hold is not told to the model."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | tuple[Part, ...] | None = None
    name: str | None = None

    def text(self) -> str:
        """Raises BadField for what is not text."""
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        for part in self.content:
            if part.type != "text" or part.text is None:
                raise BadField(
                    "messages",
                    f"a part of type {part.type!r} is not understood, only text is; "
                    "pictures go to POST /v1/models/{name}/caption",
                )
        return "".join(part.text or "" for part in self.content)


class ChatRequest(Request, frozen=True, kw_only=True):
    messages: Annotated[tuple[Message, ...], msgspec.Meta(min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: int | None = None
    """The newer name of max_tokens. Neither: as many as there is room for."""
    logprobs: bool | None = None
    top_logprobs: int | None = None
    modalities: tuple[str, ...] | None = None

    def turns(self) -> list[dict[str, str]]:
        """Role and content (and name) of each message, as a chat template takes them. Raises BadField."""
        return [
            {"role": message.role, "content": message.text()} | ({"name": message.name} if message.name else {})
            for message in self.messages
        ]

    def params(self) -> dict[str, Any]:
        """Raises BadField for what is not offered, or contradicts itself."""
        values = super().params()
        if self.max_tokens is not None and self.max_completion_tokens not in (None, self.max_tokens):
            raise BadField("max_tokens", "max_tokens and max_completion_tokens contradict each other: send one of them")
        max_tokens = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        if max_tokens is not None:
            values["max_tokens"] = max_tokens
        if self.modalities is not None and set(self.modalities) != {"text"}:
            raise BadField("modalities", 'answers are text: leave out modalities, or send ["text"]')
        if self.top_logprobs is not None and not self.logprobs:
            raise BadField("top_logprobs", "top_logprobs needs logprobs: true")
        if self.logprobs:
            values["logprobs"] = self.top_logprobs or 0
        return values
