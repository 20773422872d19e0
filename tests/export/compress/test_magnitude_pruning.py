"""Gradual magnitude pruning: exactly so many zeros, early enough to learn around them, on every kind of network."""

from __future__ import annotations

import copy
from collections.abc import Callable

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from export.compress.learning import FineTuning, Learning
from export.compress.magnitude_pruning import MagnitudePruning, is_look, keep_largest, sparsity_at
from export.compress.masks import prunable_weights
from training.networks.network import Trainable
from training.recipe import TaskName

TASKS: tuple[TaskName, ...] = ("classification", "detection", "segmentation", "captioning", "text_generation")


def sparsity_of(network: Trainable) -> float:
    weights = prunable_weights(network).values()
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.numel() for weight in weights)


@pytest.mark.parametrize("task", TASKS)
def test_every_kind_of_network_gets_its_zeros(task: TaskName, learnings: Callable[[TaskName], Learning]) -> None:
    learning = learnings(task)
    technique = MagnitudePruning(sparsity=0.75, fine_tuning=FineTuning(batches_per_epoch=2))
    assert technique.find_obstacle(task) == ""
    pruned = technique.compress(copy.deepcopy(learning.trained), learning)
    assert sparsity_of(pruned) == pytest.approx(0.75, abs=1e-3)
    assert sparsity_of(learning.trained) < 0.01
    assert all((weight != 0).any() for weight in prunable_weights(pruned).values())


@given(
    st.lists(st.lists(st.sampled_from([0.0, -1.0, 1.0, 2.0]), min_size=1, max_size=9), min_size=1, max_size=4),
    st.floats(0, 1),
)
def test_exactly_the_smallest_go_however_many_are_equal(numbers: list[list[float]], sparsity: float) -> None:
    weights = {str(index): torch.tensor(row) for index, row in enumerate(numbers)}
    masks = keep_largest(weights, sparsity, 0.0, "plain")
    together, kept = torch.cat(list(weights.values())).abs(), torch.cat(list(masks.values()))
    assert int((~kept).sum()) == round(sparsity * len(together))
    if kept.any() and not kept.all():
        assert together[~kept].max() <= together[kept].min()


def test_no_layer_is_cut_through() -> None:
    weights = {"small": torch.full((10, 10), 1e-6), "large": torch.ones(30, 30)}
    masks = keep_largest(weights, 0.9, 0.05, "plain")
    assert int(masks["small"].sum()) == 5
    assert sum(int((~mask).sum()) for mask in masks.values()) == 900


@given(st.integers(1, 500), st.floats(0, 1))
def test_zeros_grow_and_the_last_of_them_leave_a_step_to_learn(num_steps: int, growing: float) -> None:
    config = MagnitudePruning(sparsity=0.9, growing=growing)
    looks = [step for step in range(num_steps) if is_look(step, num_steps, growing)]
    course = [sparsity_at(step, num_steps, config) for step in looks]
    assert course == sorted(course)
    assert course[-1] == 0.9
    assert looks[-1] <= max(0, num_steps - 1)


@pytest.mark.parametrize("wrong", [{"sparsity": 1.0}, {"sparsity": 0.0}, {"sparsity": 0.99, "least_kept": 0.05}])
def test_nothing_left_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"sparsity|<|>"):
        msgspec.convert({"technique": "magnitude_pruning", **wrong}, MagnitudePruning)


def test_a_layer_of_small_weights_is_not_cut_through() -> None:
    """A wide layer with ten times the weights of a narrow one: by plain magnitudes the narrow one would lose all."""
    generator = torch.Generator().manual_seed(0)
    wide, narrow = torch.randn(100, 100, generator=generator), 0.01 * torch.randn(10, 10, generator=generator)
    weights = {"wide": wide, "narrow": narrow}
    plain, adaptive = (keep_largest(weights, 0.9, 0.0, weighing) for weighing in ("plain", "adaptive"))  # type: ignore[arg-type]
    assert not plain["narrow"].any()
    assert adaptive["narrow"].float().mean() > 0.3
    for masks in (plain, adaptive):
        assert sum(int(mask.sum()) for mask in masks.values()) == round(0.1 * 10_100)
    kept = narrow[adaptive["narrow"]].abs()
    assert kept.min() >= narrow[~adaptive["narrow"]].abs().max()
