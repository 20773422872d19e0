"""The fields that /v1/completions and /v1/chat/completions have in common, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from registry.reference import ModelRef
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
HARMLESS: Mapping[str, tuple[Any, ...]] = {
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
    "store": (False,),
    "suffix": ("",),
}
"""Values of refused fields that ask for nothing; null is one for every field."""

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
    user: Any = None
    metadata: Any = None
    service_tier: Any = None
    safety_identifier: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    parallel_tool_calls: Any = None
    # Refused
    suffix: Any = None
    tools: Any = None
    tool_choice: Any = None
    functions: Any = None
    function_call: Any = None
    audio: Any = None
    prediction: Any = None
    web_search_options: Any = None
    moderation: Any = None
    reasoning_effort: Any = None
    verbosity: Any = None
    store: Any = None

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with what it took."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def params(self) -> dict[str, Any]:
        """The generation parameters that were given. Raises BadField for what is not offered."""
        for name, advice in REFUSED.items():
            value = getattr(self, name)
            if value is not None and value not in HARMLESS.get(name, ()):
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
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"the body must be a JSON object as the OpenAI API defines it: {error}") from error


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
