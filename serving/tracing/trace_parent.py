"""The header `traceparent`: which trace a call belongs to (W3C Trace Context, https://www.w3.org/TR/trace-context/)."""

from __future__ import annotations

import re
from typing import NamedTuple

HEADER = b"traceparent"
FORMAT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
FIRST_VERSION = b"00"
SAMPLED = 1


class TraceParent(NamedTuple):
    """The caller's trace and span in hexadecimal digits, and whether the caller follows it."""

    trace_id: str
    span_id: str
    is_sampled: bool


def format_trace_parent(trace_id: str, span_id: str) -> str:
    """What a call says that is made on behalf of a request that is followed."""
    return f"00-{trace_id}-{span_id}-{SAMPLED:02x}"


def parse_trace_parent(header: bytes | None) -> TraceParent | None:
    """What a caller says; None where it says nothing or nothing that means anything, as the specification asks."""
    found = FORMAT.fullmatch(header) if header is not None else None
    if found is None or header is None:
        return None
    trace_id, span_id, flags, more = found.groups()
    if more is not None and header.startswith(FIRST_VERSION):
        return None
    return TraceParent(trace_id.decode(), span_id.decode(), bool(int(flags, 16) & SAMPLED))
