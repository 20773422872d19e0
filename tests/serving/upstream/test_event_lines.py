from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.upstream.event_lines import MAX_EVENT_BYTES, EventLines
from tasks.errors import NotReady


@given(st.lists(st.binary(max_size=6)), st.sampled_from([b"\n", b"\r\n"]), st.lists(st.integers(0, 60), max_size=8))
def test_lines_are_the_same_however_they_are_cut(contents: list[bytes], end: bytes, cuts: list[int]) -> None:
    wanted = [content.replace(b"\n", b"").replace(b"\r", b"") for content in contents]
    stream = b"".join(line + end for line in wanted)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    lines = EventLines()
    found = [line for start, stop in pairwise(places) for line in lines.push(stream[start:stop])]
    assert found == wanted


def test_a_line_that_has_not_ended_is_kept_to_itself() -> None:
    lines = EventLines()
    assert lines.push(b"data: a\ndata:") == [b"data: a"]
    assert lines.push(b" b") == []
    assert lines.push(b"\n\n") == [b"data: b", b""]


@pytest.mark.parametrize("ends", [b"", b"\n"])
def test_an_event_may_be_so_long_and_no_longer(ends: bytes) -> None:
    most = b"x" * MAX_EVENT_BYTES
    assert EventLines().push(most + b"\n") == [most]
    with pytest.raises(NotReady, match=f"more than {MAX_EVENT_BYTES} bytes"):
        EventLines().push(most + b"x" + ends)


def test_pieces_of_one_line_add_up_to_the_limit() -> None:
    lines = EventLines()
    for _ in range(4):
        lines.push(b"x" * (MAX_EVENT_BYTES // 4))
    with pytest.raises(NotReady):
        lines.push(b"x")
