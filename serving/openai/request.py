"""The fields that /v1/completions and /v1/chat/completions have in common, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from registry.reference import ModelRef
from serving.json_fields import read_json
from serving.openai.error_body import BadField
from serving.openai.response_format import ResponseFormat
from tasks.errors import BadInput, NotFound

SCALARS = (
    *("n", "temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "logit_bias"),
    *("top_k", "min_p", "repetition_penalty", "num_beams", "length_penalty", "regex", "ignore_end"),
)
"""Fields that are called the same among the generation parameters."""
REFUSED: Mapping[str, str] = {
    "suffix": "text is continued, not filled in: leave it out",
    "tools": "calling tools is not offered: describe them in the prompt and ask for JSON by response_format",
    "tool_choice": "calling tools is not offered: leave it out",
    "functions": "calling functions is not offered: leave it out",
    "function_call": "calling functions is not offered: leave it out",
    "audio": "answers are text: leave it out",
    "prediction": "predicted outputs are not offered: leave it out",
    "web_search_options": "nothing is searched in the web: leave it out",
    "moderation": "nothing is moderated here: leave it out",
    "reasoning_effort": "how a model reasons is a matter of its prompt: leave it out",
    "verbosity": "how long an answer is follows from max_completion_tokens and the prompt: leave it out",
    "store": "nothing is stored here: leave it out, or send false",
}
HARMLESS: Mapping[str, tuple[bytes, ...]] = {
    "tools": (b"[]",),
    "functions": (b"[]",),
    "tool_choice": (b'"none"', b'"auto"'),
    "function_call": (b'"none"', b'"auto"'),
    "store": (b"false",),
    "suffix": (b'""',),
}
"""Values of refused fields that ask for nothing, as JSON; null is one for every field."""
NULL = b"null"
LEFT_OUT: Any = msgspec.field(default_factory=lambda: msgspec.Raw(NULL))
"""Of fields of which hardly anything is read: what they hold is skipped, and not made into a million objects."""

WITHOUT_EFFECT = (
    *("user", "metadata", "service_tier", "safety_identifier", "parallel_tool_calls"),
    *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
)
"""Fields that are accepted and change nothing here."""


class StreamOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`include_obfuscation` and whatever else there may be changes nothing here."""

    include_usage: bool | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """null means the same as leaving a field out. What is without effect here is accepted and ignored."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    n: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: str | tuple[str, ...] | None = None
    logit_bias: dict[int, float] | None = None
    response_format: ResponseFormat | None = None
    """Of completions too, as other servers have it."""
    # What OpenAI does not have
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    num_beams: int | None = None
    length_penalty: float | None = None
    regex: str | None = None
    ignore_end: bool | None = None
    # Without effect
    user: msgspec.Raw = LEFT_OUT
    metadata: msgspec.Raw = LEFT_OUT
    service_tier: msgspec.Raw = LEFT_OUT
    safety_identifier: msgspec.Raw = LEFT_OUT
    prompt_cache_key: msgspec.Raw = LEFT_OUT
    prompt_cache_options: msgspec.Raw = LEFT_OUT
    prompt_cache_retention: msgspec.Raw = LEFT_OUT
    parallel_tool_calls: msgspec.Raw = LEFT_OUT
    # Refused
    suffix: msgspec.Raw = LEFT_OUT
    tools: msgspec.Raw = LEFT_OUT
    tool_choice: msgspec.Raw = LEFT_OUT
    functions: msgspec.Raw = LEFT_OUT
    function_call: msgspec.Raw = LEFT_OUT
    audio: msgspec.Raw = LEFT_OUT
    prediction: msgspec.Raw = LEFT_OUT
    web_search_options: msgspec.Raw = LEFT_OUT
    moderation: msgspec.Raw = LEFT_OUT
    reasoning_effort: msgspec.Raw = LEFT_OUT
    verbosity: msgspec.Raw = LEFT_OUT
    store: msgspec.Raw = LEFT_OUT

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with what it took."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def params(self) -> dict[str, Any]:
        """The generation parameters that were given. Raises BadField for what is not offered."""
        for name, advice in REFUSED.items():
            value = bytes(getattr(self, name)).strip()
            if value != NULL and value not in HARMLESS.get(name, ()):
                raise BadField(name, f"{name} is not supported: {advice}")
        if self.stream_options is not None and not self.stream:
            raise BadField("stream_options", "stream_options are for streams: leave them out, or send stream: true")
        given = {name: getattr(self, name) for name in SCALARS}
        given["stop"] = (self.stop,) if isinstance(self.stop, str) else self.stop
        if self.response_format is not None and (schema := self.response_format.schema()):
            given["json_schema"] = schema
        return {name: value for name, value in given.items() if value is not None}


class Addressed(msgspec.Struct, frozen=True):
    """As much of a body as says who shall answer it."""

    model: str
    stream: bool | None = None


Body = TypeVar("Body")


def read_request(body: bytes, kind: type[Body]) -> Body:
    """Raises BadInput naming the field."""
    return read_json(body, kind, "the body must be a JSON object as the OpenAI API defines it")


def model_of(body: bytes) -> tuple[str, str | None]:
    """Name and version of the model that a body asks for: `name`, or `name/version`. Raises BadInput, NotFound."""
    wanted = read_request(body, Addressed).model
    try:
        ref = ModelRef.parse(wanted)
    except BadInput as error:
        raise NotFound(f"there is no model {wanted!r}: {error}") from error
    if "@" in wanted:
        raise NotFound(f"there is no model {wanted!r}; ask for {ref.name!r}, or for a version: {ref.name + '/1'!r}")
    return ref.name, ref.version
