"""Every way of writing an orientation is read, and every damaged way means upright."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.exif import exif_orientation
from tests.pictures import exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("order", "kind"), [("<", 3), (">", 3), ("<", 4), (">", 4)])
def test_both_byte_orders_and_both_integer_types_are_read(orientation, order, kind):
    assert exif_orientation(exif(orientation, order, kind)) == orientation
    assert exif_orientation(exif(orientation, order, kind).removeprefix(b"Exif\0\0")) == orientation


def test_the_orientation_is_found_behind_other_fields():
    fields = [(0x010F, 2, 4, b"abc\0"), (0x0110, 3, 1, b"\7\0\0\0"), (0x0112, 3, 1, b"\6\0\0\0")]
    entries = b"".join(struct.pack("<HHI", tag, kind, count) + value for tag, kind, count, value in fields)
    assert exif_orientation(b"II*\0" + struct.pack("<IH", 8, 3) + entries) == 6


@pytest.mark.parametrize(
    "block", [None, "text", b"", b"Exif\0\0", b"II*\0", b"II*\0\xff\xff\xff\xff", exif(0), exif(9)]
)
def test_what_is_missing_or_damaged_means_upright(block):
    assert exif_orientation(block) == 1


@given(st.sampled_from([b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"Exif\0\0II*\0"]), st.binary(max_size=80))
def test_any_bytes_give_an_orientation(head, tail):
    assert 1 <= exif_orientation(head + tail) <= 8


@given(st.integers(0, 37))
def test_a_block_cut_anywhere_gives_an_orientation(length):
    assert exif_orientation(exif(6)[:length]) in (1, 6)
