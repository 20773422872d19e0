"""Layers as several thinner ones: the same where the weights are of low rank, cheaper or more faithful as asked."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from export.compress.factorisation import MatrixForm, TuckerForm, cost_of, forms_of
from export.compress.factors import build_linear


def low_rank(*shape: int, rank: int) -> torch.Tensor:
    """A random tensor [out, in, …] of low rank along both of its first axes, whatever the others do."""
    generator = torch.Generator().manual_seed(0)
    core = torch.randn(rank, rank, *shape[2:], generator=generator)
    # The same at every place of the kernel, so that its rows and columns can be told apart too.
    core = core[..., :1, :1].expand(core.shape) if len(shape) == 4 else core
    ends = [torch.randn(size, rank, generator=generator) for size in shape[:2]]
    return torch.einsum("op,iq,pq...->oi...", *ends, core)


def convolution(**options: object) -> nn.Conv2d:
    layer = nn.Conv2d(12, 10, **options)  # type: ignore[arg-type]
    with torch.no_grad():
        layer.weight.copy_(low_rank(*layer.weight.shape, rank=2))
    return layer


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": (3, 5), "stride": (1, 2), "padding": (0, 2), "bias": False},
        {"kernel_size": 3, "stride": 2, "padding": 2, "dilation": 2},
        {"kernel_size": 1, "stride": 2},
        {"kernel_size": (1, 3)},
    ],
)
def test_convolutions_of_low_rank_are_the_same_in_every_form(options: dict[str, object]) -> None:
    layer, maps = convolution(**options), torch.randn(2, 12, 11, 13)
    forms = forms_of(layer)
    assert len(forms) == (1 if 1 in layer.kernel_size else 3)
    for form in forms:
        for candidate in (form.at_energy(0.999999), form.at_cost(0.8 * cost_of(layer))):
            built = candidate.build()
            assert candidate.energy == pytest.approx(1, abs=1e-5)
            torch.testing.assert_close(built(maps), layer(maps), rtol=1e-3, atol=1e-3)
            assert candidate.multiplications < cost_of(layer)


def test_linear_layers_of_low_rank_are_the_same() -> None:
    layer = nn.Linear(20, 16)
    with torch.no_grad():
        layer.weight.copy_(low_rank(16, 20, rank=3))
    (form,) = forms_of(layer)
    candidate = form.at_energy(0.999999)
    assert candidate.multiplications == 3 * 36
    x = torch.randn(2, 5, 20)
    torch.testing.assert_close(candidate.build()(x), layer(x), rtol=1e-4, atol=1e-4)


@given(st.floats(0.05, 0.99), st.integers(0, 1000))
def test_energy_is_what_is_left_of_the_squared_weights(energy: float, seed: int) -> None:
    layer = nn.Linear(9, 7, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(7, 9, generator=torch.Generator().manual_seed(seed)))
    form = MatrixForm(layer.weight, 16, lambda left, right: build_linear(layer, left, right))
    candidate = form.at_energy(energy)
    written = candidate.build()(torch.eye(9)).T
    lost = ((written - layer.weight).pow(2).sum() / layer.weight.pow(2).sum()).item()
    assert candidate.energy >= energy - 1e-6
    assert 1 - lost == pytest.approx(candidate.energy, abs=1e-4)
    assert candidate.multiplications == 16 or form.at_cost(candidate.multiplications - 16).energy < energy


@given(st.floats(0.05, 0.95))
def test_costs_keep_within_their_limit(share: float) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 16, 3, stride=2)
    for form in forms_of(layer):
        candidate = form.at_cost(share * cost_of(layer))
        assert candidate.multiplications <= max(share * cost_of(layer), form.at_cost(0).multiplications)


def test_tucker_keeps_at_least_the_energy_asked_for() -> None:
    torch.manual_seed(0)
    form = TuckerForm(nn.Conv2d(8, 16, 3))
    assert form.at_energy(0.7).energy >= 0.7
    assert form.at_energy(0.7).multiplications < form.at_energy(0.95).multiplications


def test_grouped_and_otherwise_padded_convolutions_stay() -> None:
    assert not forms_of(nn.Conv2d(8, 8, 3, groups=8))
    assert not forms_of(nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"))
    assert not forms_of(nn.Conv2d(8, 8, 3, padding="same"))
    assert not forms_of(nn.BatchNorm2d(8))
