"""What steps established in weights: found again, and kept to the last bit while a network learns."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from export.compress.learning import FineTuning, Learning
from export.compress.weight_pattern import SharedValues, Zeros, find_pattern, has_shared_values
from training.networks.network import Trainable
from training.recipe import TaskName


def pruned(weight: Tensor) -> Tensor:
    return torch.where(weight.abs() > weight.abs().median(), weight, 0)


def rounded(weight: Tensor) -> Tensor:
    return (weight * 20).round() / 20


def test_what_is_there_is_found() -> None:
    weight = torch.randn(20, 30, generator=torch.Generator().manual_seed(0))
    assert find_pattern(weight) is None
    assert isinstance(find_pattern(pruned(weight)), Zeros)
    assert isinstance(find_pattern(rounded(weight)), SharedValues)
    assert isinstance(find_pattern(pruned(rounded(weight))), SharedValues)
    assert find_pattern(torch.zeros(40)) is None, "biases and normalisation are free"


def test_values_that_are_shared_within_channels_are_found_too() -> None:
    """As they are once normalisation was multiplied in."""
    shared = rounded(torch.randn(40, 200, generator=torch.Generator().manual_seed(0)))
    folded = shared * torch.linspace(0.5, 2.0, 40).view(-1, 1)
    assert not has_shared_values(folded)
    pattern = find_pattern(folded)
    assert isinstance(pattern, SharedValues)
    learnt = folded + torch.randn(40, 200)
    pattern.restore(learnt)
    assert torch.equal(learnt == 0, folded == 0)
    assert [len(row.unique()) for row in learnt] == [len(row.unique()) for row in folded]
    assert find_pattern(pruned(torch.randn(40, 200))) is not None
    assert not isinstance(find_pattern(pruned(torch.randn(40, 200))), SharedValues)


def test_few_weights_share_nothing_only_because_they_are_few() -> None:
    weight = torch.arange(1.0, 101.0).view(10, 10)
    assert not has_shared_values(weight)
    assert has_shared_values(torch.cat((weight, weight)))
    assert not has_shared_values(pruned(weight)), "zeros alone are not shared values"
    assert find_pattern(weight) is None


def test_weights_that_share_a_value_follow_the_mean_of_their_gradients_and_zeros_follow_none() -> None:
    weight = torch.tensor([[1.0, 1.0, 0.0, 2.0], [2.0, 1.0, 0.0, 2.0]])
    pattern = find_pattern(weight)
    assert pattern is not None
    gradient = torch.tensor([[3.0, 6.0, 9.0, 1.0], [2.0, 0.0, -7.0, 6.0]])
    pattern.project(gradient)
    assert torch.equal(gradient, torch.tensor([[3.0, 3.0, 0.0, 3.0], [3.0, 3.0, 0.0, 3.0]]))
    weight += torch.rand(2, 4)
    pattern.restore(weight)
    assert weight[0, 2] == weight[1, 2] == 0
    assert len(weight[weight != 0].unique()) == 2


@pytest.mark.parametrize("task", ["classification", "text_generation"])
@pytest.mark.parametrize("form", [pruned, rounded])
def test_a_network_that_learns_on_keeps_its_form(
    task: TaskName, form: Callable[[Tensor], Tensor], learnings: Callable[[TaskName], Learning]
) -> None:
    learning = learnings(task)
    network = copy.deepcopy(learning.trained)
    formed = {name: weight for name, weight in network.named_parameters() if weight.ndim > 1}
    with torch.no_grad():
        for weight in formed.values():
            weight.copy_(form(weight))
    before = {name: weight.detach().clone() for name, weight in formed.items()}
    learning.fine_tune(network, FineTuning(batches_per_epoch=3, learning_rate_factor=1.0))
    for name, weight in network.named_parameters():
        if name not in before:
            continue
        assert torch.equal(weight == 0, before[name] == 0), name
        if form is rounded:
            assert len(weight.unique()) == len(before[name].unique()), name
    assert moved(before, network)


def moved(before: dict[str, Tensor], network: Trainable) -> bool:
    return all(not torch.equal(before[name], network.get_parameter(name)) for name in before)
