"""A JSON object read field by field: a body of megabytes must not become millions of objects before it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from tasks.errors import BadInput, TooLarge

MAX_FIELD_BYTES = 262_144
"""Of a parameter. The largest that can be right are schemas."""
Kind = TypeVar("Kind")


def read_fields(body: bytes, like: str) -> dict[str, msgspec.Raw]:
    """Name → JSON that was not looked at, but is sound. `like`: an example. Raises BadInput for what is no object."""
    return read_json(body, dict[str, msgspec.Raw], f"the body must be a JSON object like {like}")


def read_json(content: bytes, kind: type[Kind], wanted: str) -> Kind:
    """Raises BadInput that begins with what was wanted."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"{wanted}: {error}") from error


def read_values(fields: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    """Parameters as plain values. Raises TooLarge for one that is larger than any may be."""
    values = {}
    for name, content in fields.items():
        if len(content) > MAX_FIELD_BYTES:
            raise TooLarge(f"parameter {name!r} has {len(content)} bytes; at most {MAX_FIELD_BYTES} are accepted")
        values[name] = read_json(bytes(content), object, f"parameter {name!r}")
    return values
