"""What a caller shows: a bearer token, as OpenAI's clients send it, or the header X-API-Key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from serving.tracing.trace_parent import HEADER as TRACE_PARENT

AUTHORIZATION, API_KEY = b"authorization", b"x-api-key"
BEARER = b"bearer "
CARRIED = frozenset(name.decode() for name in (AUTHORIZATION, API_KEY, TRACE_PARENT))
"""What is read of a gRPC call's metadata."""


def find_credential(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The token in lower-case `headers`, X-API-Key first; None without one, also for other schemes than Bearer."""
    if (key := headers.get(API_KEY)) is not None:
        return key
    authorization = headers.get(AUTHORIZATION)
    if authorization is None or authorization[: len(BEARER)].lower() != BEARER:
        return None
    return authorization[len(BEARER) :]


def headers_of(metadata: Iterable[tuple[str, str | bytes]]) -> dict[bytes, bytes]:
    """The metadata of a gRPC call as headers, as far as it says who calls and who follows the call."""
    return {
        name.encode(): value if isinstance(value, bytes) else value.encode()
        for name, value in metadata
        if name in CARRIED
    }
