"""How what a caller asks for becomes GenerationParams: from JSON, a query string or protocol parameters alike."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tasks.errors import BadInput
from tasks.generation_params import Default, GenerationParams

SAMPLING = frozenset({"temperature", "top_k", "top_p", "min_p", "seed"})
BEAMS = frozenset({"num_beams", "length_penalty"})


def parse_generation(
    values: Mapping[str, object], defaults: Mapping[Default, float], vocabulary: int
) -> GenerationParams:
    """`values` over the model's own `defaults`. Where they come as strings, numbers are read from them, `stop` is one
    text or a JSON list of them, `logit_bias` a JSON object; `json_schema` may be the schema itself.

    Raises BadInput naming the field, also for tokens beyond the vocabulary."""
    given = {name: structured(name, value) for name, value in values.items()}
    asked = converted(given)
    if strange := [token for token in asked.logit_bias if token >= vocabulary]:
        raise BadInput(f"logit_bias names token {strange[0]}; the model has tokens 0 to {vocabulary - 1}")
    if asked.seed is None:
        given.pop("seed", None)  # any seed will do, which is as good as not to mention it
    # What the caller asks for pushes out the defaults that would contradict it.
    contradicted = SAMPLING if asked.num_beams > 1 else BEAMS if SAMPLING & given.keys() else frozenset[str]()
    kept: dict[str, object] = {name: value for name, value in defaults.items() if name not in contradicted}
    return converted(kept | given) if kept else asked


def converted(values: Mapping[str, object]) -> GenerationParams:
    try:
        return msgspec.convert(dict(values), GenerationParams, strict=False)
    except msgspec.ValidationError as error:
        known = f"; known: {', '.join(GenerationParams.__struct_fields__)}" if "unknown field" in str(error) else ""
        raise BadInput(f"parameters of generation: {error}{known}") from error


def structured(name: str, value: object) -> object:
    """A parameter that is more than a word or a number, from its spelling in a query string."""
    if name == "json_schema" and isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    if name == "stop" and isinstance(value, str):
        return texts_of(value)
    if name == "logit_bias" and isinstance(value, str):
        try:
            return msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadInput(f'logit_bias must be a JSON object like {{"42": -1.5}}: {error}') from error
    return value


def texts_of(stop: str) -> list[str]:
    """One stop text, or several as a JSON list of strings."""
    if stop.startswith("["):
        try:
            return msgspec.json.decode(stop, type=list[str])
        except (msgspec.DecodeError, RecursionError):
            return [stop]  # a text that happens to begin with a bracket
    return [stop]
