from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.access.token_bucket import TokenBucket


def test_as_many_as_the_rate_at_once_and_then_one_by_one() -> None:
    bucket = TokenBucket(4.0, now=100.0)
    assert [bucket.take(100.0) for _ in range(4)] == [0.0] * 4
    assert bucket.take(100.0) == pytest.approx(0.25)
    assert bucket.take(100.25) == 0.0
    assert bucket.take(100.25) > 0


def test_who_waits_as_long_as_told_gets_in() -> None:
    bucket = TokenBucket(0.5, now=0.0)
    assert bucket.take(0.0) == 0.0
    wait_s = bucket.take(1.5)
    assert wait_s == pytest.approx(0.5)
    assert bucket.take(1.5 + wait_s) == 0.0


def test_a_long_pause_saves_up_one_second_and_no_more() -> None:
    bucket = TokenBucket(3.0, now=0.0)
    assert sum(bucket.take(1000.0) == 0.0 for _ in range(10)) == 3


@given(
    rate=st.floats(0.01, 1000.0),
    pauses=st.lists(st.floats(0.0, 5.0), max_size=200),
)
def test_never_more_than_the_rate_and_one_burst(rate: float, pauses: list[float]) -> None:
    bucket, now, admitted = TokenBucket(rate, now=0.0), 0.0, 0
    for pause in pauses:
        now += pause
        admitted += bucket.take(now) == 0.0
    assert admitted <= max(1.0, rate) + now * rate + 1e-6
