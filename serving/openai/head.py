"""What every answer of the API begins with, whole or in pieces."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from time import time
from typing import Any

from serving.generation.request import Usage

DONE = b"data: [DONE]\n\n"
"""The last event of every stream that came to its end."""


@dataclass(frozen=True, slots=True)
class Head:
    """`kind`: "cmpl" or "chatcmpl". The same for all pieces of one answer."""

    kind: str
    model: str
    fingerprint: str
    """Changes with anything that may change the answer to the same seed."""
    id: str = field(init=False)
    created: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", f"{self.kind}-{os.urandom(12).hex()}")
        object.__setattr__(self, "created", int(time()))

    def wire(self, of: str, **fields: Any) -> dict[str, Any]:
        """An object of the API; `of`: its `object`."""
        return {
            "id": self.id,
            "object": of,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            **fields,
        }


def usage_wire(usage: Usage) -> dict[str, Any]:
    """`cached_tokens`: those of the prompt that need not be computed again."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }
