"""What is read of another server's answers, whole or in pieces, completions or chats. The rest passes by unread."""

from __future__ import annotations

from typing import Any

import msgspec

from tasks.errors import NotReady


class Said(msgspec.Struct, frozen=True):
    """A chat's message, or a piece of one."""

    content: str | None = None


class TokenLogprob(msgspec.Struct, frozen=True):
    logprob: float = 0.0


class Logprobs(msgspec.Struct, frozen=True):
    """In the form of completions, or in that of chats."""

    token_logprobs: tuple[float | None, ...] | None = None
    content: tuple[TokenLogprob, ...] | None = None

    def values(self) -> list[float]:
        listed = [one for one in self.token_logprobs or () if one is not None]
        return listed + [one.logprob for one in self.content or ()]


class SeenChoice(msgspec.Struct, frozen=True):
    """`stop_reason`: the text that ended it, where the server tells (vLLM, SGLang, this one)."""

    index: int = 0
    text: str | None = None
    message: Said | None = None
    delta: Said | None = None
    logprobs: Logprobs | None = None
    finish_reason: str | None = None
    stop_reason: Any = None

    @property
    def said(self) -> str:
        """What is new of its text."""
        spoken = self.message or self.delta
        return self.text or (spoken.content if spoken is not None else None) or ""


class PromptDetails(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None


class SeenUsage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: PromptDetails | None = None


class Seen(msgspec.Struct, frozen=True):
    """An answer, or a chunk of one."""

    choices: tuple[SeenChoice, ...] = ()
    usage: SeenUsage | None = None


def read_answer(answer: dict[str, Any]) -> Seen:
    """Raises NotReady for what is no answer of the OpenAI API."""
    try:
        return msgspec.convert(answer, Seen)
    except msgspec.ValidationError as error:
        raise NotReady(f"the upstream server of this model does not answer as the OpenAI API does: {error}") from error
