from __future__ import annotations

import pytest
import torch

from training.networks.build import build_classifier, build_language_model
from training.networks.network import Trainable
from training.recipe import Recipe, load_recipe
from training.search.network_cost import count_parameters, measure_latency_ms

SMALL = ("model.options.widths=[4]", "model.options.depths=[1]")


def classifier(recipe: Recipe) -> Trainable:
    return build_classifier(recipe.model, 10, recipe.image_spec)


def test_parameters_are_those_of_the_network() -> None:
    recipe = load_recipe("digits-smoke", SMALL)
    stem, block, head = 4 * 3 * 9 + 8, 2 * (4 * 4 * 9 + 8), 4 * 10 + 10
    assert count_parameters(classifier(recipe)) == stem + block + head


@pytest.mark.parametrize("name", ["digits-smoke", "stdlib-llama-quick", "stdlib-lstm-quick"])
def test_any_network_can_be_timed_and_is_left_as_it_was(name: str) -> None:
    recipe, threads = load_recipe(name), torch.get_num_threads()
    network = classifier(recipe) if recipe.task == "classification" else build_language_model(recipe.model, 300, 256)
    network.train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert measure_latency_ms(network, recipe) > 0
    assert network.training
    assert torch.get_num_threads() == threads
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
