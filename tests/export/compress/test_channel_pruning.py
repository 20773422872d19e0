"""Structured pruning of every kind of network: smaller, of the same form, and able to learn on."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from export.compress.channel_pruning import ChannelPruning
from export.compress.learning import FineTuning, Learning
from tasks.errors import InvalidRecipe
from training.networks.network import Network, Trainable
from training.recipe import TaskName

SHORT = FineTuning(batches_per_epoch=1)
TASKS: tuple[TaskName, ...] = ("classification", "detection", "segmentation", "captioning", "text_generation")


def num_weights(network: Trainable) -> int:
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize("task", TASKS)
def test_every_kind_of_network_gets_smaller_and_learns_on(
    task: TaskName, learnings: Callable[[TaskName], Learning]
) -> None:
    learning = learnings(task)
    technique = ChannelPruning(round_to=4, rounds=2, between=SHORT, fine_tuning=SHORT)
    assert technique.find_obstacle(task) == ""
    pruned = technique.compress(copy.deepcopy(learning.trained), learning)
    assert num_weights(pruned) < 0.8 * num_weights(learning.trained)
    if isinstance(pruned, Network):
        assert isinstance(learning.trained, Network)
        assert pruned.backbone.embedding_dim == learning.trained.backbone.embedding_dim / 2
    # What others do with a network: copy it, and let it learn again.
    learning.fine_tune(copy.deepcopy(pruned), SHORT)


def test_the_embedding_stays_whole_if_asked_for(learnings: Callable[[TaskName], Learning]) -> None:
    learning = learnings("classification")
    technique = ChannelPruning(round_to=4, embedding="whole", ranking="global", importance="l1", fine_tuning=SHORT)
    pruned = technique.compress(copy.deepcopy(learning.trained), learning)
    assert isinstance(pruned, Network)
    assert pruned.backbone.embedding_dim == 16
    assert num_weights(pruned) < num_weights(learning.trained)


def test_a_network_too_narrow_for_the_rounding_is_refused(learnings: Callable[[TaskName], Learning]) -> None:
    learning = learnings("classification")
    with pytest.raises(InvalidRecipe, match="lower round_to"):
        ChannelPruning(round_to=32, fine_tuning=SHORT).compress(copy.deepcopy(learning.trained), learning)
