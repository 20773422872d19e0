from __future__ import annotations

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.networks.build import build_classifier
from training.optimiser import build_optimiser, learning_rate_factor
from training.recipe import OptimiserConfig, Recipe, ScheduleConfig


@given(st.integers(1, 300), st.floats(0, 0.9), st.floats(0, 1))
@settings(deadline=None)
def test_the_rate_rises_then_falls_and_ends_where_it_should(total: int, warmup: float, final: float) -> None:
    config = ScheduleConfig(warmup_fraction=warmup, final_factor=final)
    factors = [learning_rate_factor(step, total, config) for step in range(total + 1)]
    peak = factors.index(max(factors))
    assert all(0 <= factor <= 1 for factor in factors)
    assert factors[:peak] == sorted(factors[:peak])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert factors[-1] == pytest.approx(final)


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_every_weight_is_optimised_once_and_biases_do_not_decay(
    tiny_recipe: Recipe, name: str, kind: type[torch.optim.Optimizer]
) -> None:
    model = build_classifier(tiny_recipe.model, 3, tiny_recipe.image)
    config = msgspec.convert({"name": name, "backbone_factor": 0.1, "learning_rate": 0.01}, OptimiserConfig)
    optimiser = build_optimiser(model, config)
    assert isinstance(optimiser, kind)
    listed = [p for group in optimiser.param_groups for p in group["params"]]
    assert sorted(map(id, listed)) == sorted(map(id, model.parameters()))
    for group in optimiser.param_groups:
        head = any(p is q for p in group["params"] for q in model.head.parameters())
        assert group["lr"] == pytest.approx(0.01 if head else 0.001)
        assert all((p.ndim > 1) == (group["weight_decay"] > 0) for p in group["params"])
