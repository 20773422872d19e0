"""The header that says which trace a call belongs to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.tracing.trace_parent import format_trace_parent, parse_trace_parent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(("flags", "is_sampled"), [("01", True), ("00", False), ("03", True), ("fe", False)])
def test_a_caller_names_its_trace(flags: str, is_sampled: bool) -> None:
    found = parse_trace_parent(f"00-{TRACE}-{SPAN}-{flags}".encode())
    assert found == (TRACE, SPAN, is_sampled)


def test_a_later_version_may_say_more_and_this_one_may_not() -> None:
    assert parse_trace_parent(f"01-{TRACE}-{SPAN}-01-more".encode()) == (TRACE, SPAN, True)
    assert parse_trace_parent(f"00-{TRACE}-{SPAN}-01-more".encode()) is None


@pytest.mark.parametrize(
    "header",
    [
        b"",
        f"ff-{TRACE}-{SPAN}-01".encode(),
        f"00-{'0' * 32}-{SPAN}-01".encode(),
        f"00-{TRACE}-{'0' * 16}-01".encode(),
        f"00-{TRACE.upper()}-{SPAN}-01".encode(),
        f"00-{TRACE}-{SPAN}-01\n".encode(),
    ],
)
def test_what_means_nothing_is_ignored(header: bytes) -> None:
    assert parse_trace_parent(header) is None


def test_what_is_handed_on_is_understood() -> None:
    assert parse_trace_parent(format_trace_parent(TRACE, SPAN).encode()) == (TRACE, SPAN, True)


@given(st.binary(max_size=80))
def test_nothing_that_a_client_sends_is_an_error(header: bytes) -> None:
    found = parse_trace_parent(header)
    assert found is None or (0 < found[0] < 2**128 and 0 < found[1] < 2**64)
