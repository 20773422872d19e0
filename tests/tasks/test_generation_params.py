"""Parameters of generation know what they amount to, and what cannot be meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.generation_params import GenerationParams


@pytest.mark.parametrize(
    ("params", "greedy"),
    [
        (GenerationParams(), False),
        (GenerationParams(temperature=0), True),
        (GenerationParams(temperature=0, top_p=0.9, seed=1), True),
        (GenerationParams(top_k=1), True),
        (GenerationParams(top_k=2, min_p=0.9), False),
    ],
)
def test_what_always_takes_the_best_token(params: GenerationParams, greedy: bool) -> None:
    assert params.is_greedy is greedy


def test_beams_take_a_temperature_of_no_effect_alone() -> None:
    assert GenerationParams(num_beams=2, temperature=0).num_beams == 2
    assert GenerationParams(num_beams=2, temperature=1).num_beams == 2
    with pytest.raises(ValueError, match="samples nothing"):
        GenerationParams(num_beams=2, temperature=0.7)


@given(st.integers(-(2**63), 2**63 - 1).filter(lambda seed: seed != -1))
def test_every_number_of_64_bits_is_a_seed_that_random_numbers_can_begin_with(seed: int) -> None:
    made = GenerationParams(seed=seed).seed
    assert made is not None
    assert 0 <= made < 2**63
    assert seed < 0 or made == seed
    assert GenerationParams(seed=seed) == GenerationParams(seed=made)


def test_minus_one_asks_for_any_seed() -> None:
    assert GenerationParams(seed=-1).seed is None
    assert GenerationParams(seed=-2).seed != GenerationParams(seed=-3).seed


@pytest.mark.parametrize(
    ("params", "constrained"),
    [
        (GenerationParams(), False),
        (GenerationParams(stop=("a",), logit_bias={1: 2.0}), False),
        (GenerationParams(regex="a"), True),
        (GenerationParams(json_schema="{}"), True),
    ],
)
def test_what_keeps_an_answer_to_a_form(params: GenerationParams, constrained: bool) -> None:
    assert params.is_constrained is constrained
