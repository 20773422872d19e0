"""What is read of another server's answers, whole or in pieces, completions or chats. The rest passes by unread."""

from __future__ import annotations

from typing import Any

import msgspec

from tasks.errors import NotReady

Fields = dict[str, msgspec.Raw]
"""A JSON object, each of its fields as it came. To make objects of all that is in an answer keeps the event loop twenty
times as long as to find the fields and to read what is wanted of them."""


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


class ListedModel(msgspec.Struct, frozen=True):
    id: str = ""


def read_fields(content: bytes) -> Fields:
    """Raises NotReady for what is no JSON object."""
    try:
        content.decode()  # which fields that nobody reads would not be found out to fail in
        return msgspec.json.decode(content, type=Fields)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotReady("the upstream server of this model answers with something that is no JSON object") from error


def read_answer(answer: Fields) -> Seen:
    """Raises NotReady for what is no answer of the OpenAI API."""
    return Seen(
        read_field(answer, "choices", tuple[SeenChoice, ...], ()), read_field(answer, "usage", SeenUsage | None, None)
    )


def read_models(answer: Fields) -> tuple[str, ...]:
    """The names of the models that a server lists. Raises as `read_answer`."""
    listed: tuple[ListedModel, ...] = read_field(answer, "data", tuple[ListedModel, ...], ())
    return tuple(model.id for model in listed)


def read_field(answer: Fields, name: str, kind: Any, absent: Any) -> Any:
    if name not in answer:
        return absent
    try:
        return msgspec.json.decode(answer[name], type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise NotReady(
            f"the upstream server of this model does not answer as the OpenAI API does: {name}: {error}"
        ) from error
