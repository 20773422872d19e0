"""The body of POST /v1/completions."""

from __future__ import annotations

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
    prompt: Any
    """A text, a list of texts, a list of token ids, or a list of such lists."""
    best_of: int | None = None
    """So many answers are made, and the `n` best of them answered."""
    echo: bool | None = None
    """The text begins with the prompt."""
    logprobs: int | None = None

    def prompts(self) -> list[str | Tokens]:
        """Raises BadField for what is none of the four forms."""
        given = self.prompt
        if isinstance(given, list) and all(isinstance(item, int) for item in given):
            given = [given] if given else []
        several: list[Any] = given if isinstance(given, list) else [given]
        if not several:
            raise BadField("prompt", "prompt is an empty list; send a text, token ids, or a list of either")
        if len(several) > MAX_PROMPTS:
            raise BadField("prompt", f"prompt holds {len(several)} prompts; at most {MAX_PROMPTS} are accepted at once")
        return [checked_prompt(item) for item in several]

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


def checked_prompt(item: Any) -> str | Tokens:
    """One prompt. Whether its tokens exist, the model knows."""
    if isinstance(item, str):
        return item
    try:
        return msgspec.convert(item, Tokens)
    except msgspec.ValidationError as error:
        raise BadField("prompt", f"prompt must be a text, a list of token ids, or a list of either: {error}") from error
