"""Parameters of generation know what they amount to, and what cannot be meant."""

from __future__ import annotations

import pytest

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
