from __future__ import annotations

from math import sqrt

from hypothesis import given
from hypothesis import strategies as st

from serving.challenger.share import CANARY, SHADOW, falls_within

SHARES = st.floats(0, 1)
NUM_KEYS = 20_000


@given(st.binary(max_size=200))
def test_nothing_falls_within_no_share_and_everything_within_the_whole(key: bytes) -> None:
    assert not falls_within(0.0, key, CANARY)
    assert falls_within(1.0, key, CANARY)


@given(st.binary(max_size=200), SHARES, SHARES)
def test_who_is_within_a_share_is_within_every_larger_one(key: bytes, one: float, other: float) -> None:
    smaller, larger = sorted((one, other))
    assert falls_within(smaller, key, CANARY) <= falls_within(larger, key, CANARY)


def test_ids_that_differ_by_a_number_are_spread_evenly() -> None:
    for share in (0.01, 0.1, 0.5):
        found = sum(falls_within(share, b"0a1b2c3d-%d" % number, CANARY) for number in range(NUM_KEYS))
        assert abs(found - share * NUM_KEYS) < 4 * sqrt(share * (1 - share) * NUM_KEYS)


def test_what_is_copied_does_not_depend_on_what_the_challenger_answers() -> None:
    keys = [b"%d" % number for number in range(NUM_KEYS)]
    both = sum(falls_within(0.5, key, CANARY) and falls_within(0.5, key, SHADOW) for key in keys)
    assert abs(both - NUM_KEYS / 4) < 4 * sqrt(NUM_KEYS * 3 / 16)
