"""2:4 pruning: of every four weights along the input the two largest stay."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from export.compress.learning import FineTuning, Learning
from export.compress.masks import prunable_weights
from export.compress.semi_structured_pruning import SemiStructuredPruning, largest_two
from export.compress.steps import requirements_of
from tasks.errors import InvalidRecipe
from training.networks.network import Trainable
from training.recipe import TaskName


@pytest.mark.parametrize("task", ["classification", "detection", "segmentation"])
def test_of_every_four_inputs_two_are_zero_after_learning(
    task: TaskName, learnings: Callable[[TaskName], Learning]
) -> None:
    learning, technique = learnings(task), SemiStructuredPruning(fine_tuning=FineTuning(batches_per_epoch=2))
    assert technique.find_obstacle(task) == ""
    pruned = technique.compress(copy.deepcopy(learning.trained), learning)
    weights = prunable_weights(pruned)
    whole = {name for name, weight in weights.items() if weight.shape[1] % 4}
    assert len(whole) < len(weights) / 2
    for name, weight in weights.items():
        if name in whole:
            assert (weight != 0).all()
        else:
            fours = weight.movedim(1, -1).unflatten(-1, (-1, 4))
            assert ((fours != 0).sum(dim=-1) == 2).all()


def test_the_largest_of_input_channels_stay_at_every_place_of_a_kernel() -> None:
    weight = torch.tensor([1.0, -4.0, 3.0, 2.0]).view(1, 4, 1, 1) * torch.ones(2, 4, 3, 3)
    assert largest_two(weight)[:, :, 1, 2].tolist() == [[False, True, True, False]] * 2
    assert largest_two(torch.ones(2, 8)).sum(dim=1).tolist() == [4, 4]


def test_it_is_for_a_gpu_and_for_models_that_one_runs_as_a_whole() -> None:
    technique = SemiStructuredPruning()
    assert requirements_of([technique]).provider == "cuda"
    for task in ("captioning", "text_generation"):
        assert "ONNX Runtime" in technique.find_obstacle(task)  # type: ignore[arg-type]


def test_a_network_without_fours_is_refused(learnings: Callable[[TaskName], Learning]) -> None:
    class Narrow(Trainable):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 4)

    with pytest.raises(InvalidRecipe, match="in fours"):
        SemiStructuredPruning().compress(Narrow(), learnings("classification"))
