from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from serving.generation.pace import BUSY_SHARE, IDLE_S, MIN_PIECE, Pace


def test_the_first_prompt_is_taken_in_whole() -> None:
    assert Pace().allowance(0, 1000) == 1000


@given(st.floats(0.001, 0.2), st.floats(0.0001, 0.02))
def test_while_answers_flow_prompts_cost_about_another_decoding_run(decode_s: float, token_s: float) -> None:
    pace = Pace()
    for _ in range(30):
        pace.decoded(decode_s)
        pace.prefilled(100, 100 * token_s)
    tokens = pace.allowance(3, 1000)
    assert tokens == MIN_PIECE or tokens * token_s <= BUSY_SHARE * decode_s * 1.01
    assert tokens == 1000 or (tokens + 4) * token_s >= BUSY_SHARE * decode_s * 0.99
    assert tokens <= pace.allowance(0, 1000) or decode_s > IDLE_S


def test_a_slow_run_does_not_change_the_pace_for_long() -> None:
    pace = Pace()
    for _ in range(10):
        pace.decoded(0.1)
        pace.prefilled(100, 0.1)
    before = pace.allowance(1, 1000)
    pace.decoded(30.0)
    assert pace.allowance(1, 1000) <= 1.5 * before
    for _ in range(20):
        pace.decoded(0.1)
    assert abs(pace.allowance(1, 1000) - before) <= 4


def test_short_prompts_tell_nothing_about_long_ones() -> None:
    """A run over one token reads the same weights as one over eight."""
    pace = Pace()
    pace.decoded(0.1)
    for _ in range(10):
        pace.prefilled(1, 0.08)
    assert pace.allowance(1, 1000) == 8
