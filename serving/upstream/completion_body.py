"""Generation parameters as the body of a request to /v1/completions."""

from __future__ import annotations

from typing import Any

import msgspec

from tasks.errors import BadInput
from tasks.generation_params import GenerationParams

DEFAULTS = GenerationParams()


def completion_body(model: str, prompt: str, params: GenerationParams) -> dict[str, Any]:
    """A streamed request. What is as it would be anyway is left out: few servers know all the parameters.

    Raises BadInput for log-probabilities, whose tokens have no ids there, and for a schema that is none."""
    if params.logprobs is not None:
        raise BadInput("log-probabilities of this model are to be had from /v1/completions alone: leave out logprobs")
    chosen = {
        name: value
        for name, value in msgspec.structs.asdict(params).items()
        if value != getattr(DEFAULTS, name) and name != "json_schema"
    }
    if params.json_schema:
        schema = {"name": "answer", "strict": True, "schema": read_schema(params.json_schema)}
        chosen["response_format"] = {"type": "json_schema", "json_schema": schema}
    return {
        "model": model,
        "prompt": prompt,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": params.max_tokens,
        **chosen,
    }


def read_schema(text: str) -> dict[str, Any] | bool:
    """A schema as a value, never as text: what a caller writes must not become a part of the request around it."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any] | bool)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BadInput(f"json_schema can not be compiled: {error}") from error
