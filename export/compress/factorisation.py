"""Ways to write a layer as several thinner ones, with what each costs and keeps.

A linear layer becomes two, by its largest singular values. A convolution becomes one of fewer outputs under a 1×1
(Zhang et al., "Accelerating very deep convolutional networks", 2015), a tall one under a wide one (Jaderberg et al.,
"Speeding up convolutional neural networks", 2014), or a small one between two 1×1 (Tucker-2: Kim et al., "Compression
of deep convolutional neural networks", 2016). Energy is the share of the squared weights that the thin layers keep.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from export.compress.factors import build_linear, build_tall_and_wide, build_tucker, build_under_1x1


@dataclass(frozen=True)
class Candidate:
    """One form at one rank. `multiplications`: of a position of the output, or of a row."""

    energy: float
    multiplications: float
    build: Callable[[], nn.Module]


class Form(Protocol):
    """One way to write a layer."""

    def at_energy(self, energy: float) -> Candidate:
        """The cheapest of at least this energy."""
        ...

    def at_cost(self, multiplications: float) -> Candidate:
        """The most faithful that costs no more than this, or the cheapest there is."""
        ...


class MatrixForm:
    """The weights as one matrix [m, n], cut to some rank: `build(left [m, rank], right [rank, n])`."""

    def __init__(self, matrix: Tensor, cost_per_rank: float, build: Callable[[Tensor, Tensor], nn.Module]) -> None:
        self._left, values, self._right = torch.linalg.svd(matrix.detach(), full_matrices=False)
        # Half of every singular value on either side: neither layer learns with gradients of another size.
        self._roots = values.sqrt()
        self._energy = shares(values)
        self._cost, self._build = cost_per_rank, build

    def at_energy(self, energy: float) -> Candidate:
        return self._candidate(count_until(self._energy, energy))

    def at_cost(self, multiplications: float) -> Candidate:
        return self._candidate(min(len(self._roots), max(1, int(multiplications / self._cost))))

    def _candidate(self, rank: int) -> Candidate:
        roots = self._roots[:rank]
        build = partial(self._build, self._left[:, :rank] * roots, roots[:, None] * self._right[:rank])
        return Candidate(float(self._energy[rank - 1]), rank * self._cost, build)


class TuckerForm:
    """A convolution of few channels between two 1×1."""

    def __init__(self, layer: nn.Conv2d) -> None:
        self._layer, self._weight = layer, layer.weight.detach()
        self._bases, self._energies = [], []
        for axis in (0, 1):
            basis, values, _ = torch.linalg.svd(self._weight.movedim(axis, 0).flatten(1), full_matrices=False)
            self._bases.append(basis)
            self._energies.append(shares(values))

    def at_energy(self, energy: float) -> Candidate:
        # What both cuts lose is at most the sum of what each of them loses.
        each = 1 - (1 - energy) / 2
        return self._candidate(*(count_until(energies, each) for energies in self._energies))

    def at_cost(self, multiplications: float) -> Candidate:
        out, inner = self._weight.shape[:2]
        steps = max(out, inner)
        ranks = [(max(1, out * step // steps), max(1, inner * step // steps)) for step in range(1, steps + 1)]
        affordable = [pair for pair in ranks if self._cost(*pair) <= multiplications]
        return self._candidate(*(affordable[-1] if affordable else ranks[0]))

    def _cost(self, out_rank: int, in_rank: int) -> float:
        out, inner, height, width = self._weight.shape
        # The first 1×1 is computed at every position of the input.
        positions = self._layer.stride[0] * self._layer.stride[1]
        return inner * in_rank * positions + in_rank * out_rank * height * width + out_rank * out

    def _candidate(self, out_rank: int, in_rank: int) -> Candidate:
        out_basis = self._bases[0][:, :out_rank]
        in_basis = self._bases[1][:, :in_rank]
        core = torch.einsum("oihw,op,iq->pqhw", self._weight, out_basis, in_basis)
        energy = float(core.pow(2).sum() / self._weight.pow(2).sum().clamp_min(1e-30))
        build = partial(build_tucker, self._layer, out_basis, core, in_basis)
        return Candidate(energy, self._cost(out_rank, in_rank), build)


def forms_of(layer: nn.Module) -> list[Form]:
    """The ways that there are for a layer; none for those that are of another kind."""
    if isinstance(layer, nn.Linear):
        return [MatrixForm(layer.weight, layer.in_features + layer.out_features, partial(build_linear, layer))]
    if not isinstance(layer, nn.Conv2d) or not is_plain(layer):
        return []
    out, inner, height, width = layer.weight.shape
    flat = layer.weight.flatten(1)
    forms: list[Form] = [MatrixForm(flat, inner * height * width + out, partial(build_under_1x1, layer))]
    if height > 1 and width > 1:
        matrix = layer.weight.permute(1, 2, 3, 0).reshape(inner * height, width * out)
        # The tall one is computed at every column of the input.
        cost = inner * height * layer.stride[1] + out * width
        forms += [MatrixForm(matrix, cost, partial(build_tall_and_wide, layer)), TuckerForm(layer)]
    return forms


def is_plain(layer: nn.Conv2d) -> bool:
    """Does every output read every input, with zeros around the map?"""
    return layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


def cost_of(layer: nn.Module) -> float:
    """Multiplications of a position of the output, or of a row."""
    assert isinstance(layer, (nn.Conv2d, nn.Linear))
    return float(layer.weight.numel())


def shares(values: Tensor) -> Tensor:
    """Singular values, largest first → the energy that each number of them keeps."""
    energy = values.double().pow(2).cumsum(dim=0)
    return energy / energy[-1].clamp_min(1e-30)


def count_until(energies: Tensor, wanted: float) -> int:
    """The least number of singular values that keeps this energy."""
    return min(len(energies), int((energies < wanted - 1e-9).sum()) + 1)
