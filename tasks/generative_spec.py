"""The facts that every generative task is opened from: its words, its window, its defaults."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tasks.generation_params import Default, GenerationParams, TokenId
from tasks.task import TaskSpec

FileName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")]
"""Of a file in the root of the package: no path, so that none leads out of it."""


class GenerativeSpec(TaskSpec, frozen=True, kw_only=True):
    """`vocabulary`: width of the logits, which may be above the number of ids that the tokenizer knows. `context`:
    positions of prompt and answer together. `begin_token` stands before every prompt, `end_tokens` finish an answer.
    `defaults`: what parameters are where a request does not say."""

    vocabulary: Annotated[int, msgspec.Meta(ge=1)]
    context: Annotated[int, msgspec.Meta(ge=2)]
    tokenizer: FileName = "tokenizer.json"
    begin_token: TokenId | None = None
    end_tokens: tuple[TokenId, ...] = ()
    defaults: dict[Default, float] = msgspec.field(default_factory=dict)

    @property
    def files(self) -> tuple[str, ...]:
        """Files of the package that the task is opened with."""
        return (self.tokenizer,)

    def __post_init__(self) -> None:
        named = (*self.end_tokens, *(() if self.begin_token is None else (self.begin_token,)))
        if beyond := [token for token in named if token >= self.vocabulary]:
            raise ValueError(f"begin_token and end_tokens must be below the vocabulary of {self.vocabulary}: {beyond}")
        try:
            msgspec.convert(self.defaults, GenerationParams, strict=False)
        except msgspec.ValidationError as error:
            raise ValueError(f"defaults are no parameters of generation: {error}") from error
