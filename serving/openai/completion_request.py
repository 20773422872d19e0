"""The body of POST /v1/completions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from serving.openai.error_body import BadField
from serving.openai.request import Request

DEFAULT_MAX_TOKENS = 16
"""OpenAI's."""
MAX_PROMPTS = 32
"""Of one request: each is a request of its own to the model."""
Tokens = tuple[int, ...]


class CompletionRequest(Request, frozen=True, kw_only=True):
    prompt: msgspec.Raw
    """A text, a list of texts, a list of token ids, or a list of such lists."""
    best_of: int | None = None
    """So many answers are made, and the `n` best of them answered."""
    echo: bool | None = None
    """The text begins with the prompt."""
    logprobs: int | None = None

    def prompts(self, context: int) -> Sequence[str | Tokens]:
        """`context`: tokens that a prompt has less than. Raises BadField for what is none of the four forms."""
        return read_prompts(bytes(self.prompt), context)

    @property
    def num_choices(self) -> int:
        """Answers to each prompt."""
        return 1 if self.n is None else self.n

    def params(self) -> dict[str, Any]:
        """Raises BadField for what is not offered, or contradicts itself."""
        values = super().params()
        values["max_tokens"] = DEFAULT_MAX_TOKENS if self.max_tokens is None else self.max_tokens
        if self.logprobs is not None:
            values["logprobs"] = self.logprobs
            if self.echo:
                raise BadField("echo", "echo has no logprobs of the prompt to show: leave out echo or logprobs")
        if self.best_of is not None:
            if self.best_of < self.num_choices:
                raise BadField("best_of", f"best_of ({self.best_of}) must not be below n ({self.num_choices})")
            if self.stream and self.best_of > self.num_choices:
                raise BadField("best_of", "which answer is best is not known while it is streamed: leave out best_of")
            values["n"] = self.best_of
        return values


def read_prompts(prompt: bytes, context: int) -> Sequence[str | Tokens]:
    """The JSON of the field, any of its forms. What can not be right is noticed before many objects are made of it."""
    form = b"".join(prompt[:64].split())[:2]
    kind: Any = str
    if form[:1] == b"[":
        kind = {b'["': tuple[str, ...], b"[[": tuple[Tokens, ...]}.get(form, Tokens)
    if form == b"[[" and prompt.count(b"[") > MAX_PROMPTS + 1:
        raise too_many(prompt.count(b"[") - 1)
    try:
        given = msgspec.json.decode(prompt, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        told = "prompt must be a text, a list of texts, a list of token ids, or a list of such lists"
        raise BadField("prompt", f"{told}: {error}") from error
    several: Sequence[str | Tokens] = given if form in (b'["', b"[[") else [given]
    if not given:
        raise BadField("prompt", "prompt is empty; send a text, token ids, or a list of either")
    if len(several) > MAX_PROMPTS:
        raise too_many(len(several))
    for one in several:
        if isinstance(one, tuple) and len(one) >= context:
            raise BadField("prompt", f"a prompt has {len(one)} tokens; a context of {context} has no room for that")
    return several


def too_many(count: int) -> BadField:
    return BadField("prompt", f"prompt holds {count} prompts; at most {MAX_PROMPTS} are accepted at once")
