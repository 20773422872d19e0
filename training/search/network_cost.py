"""What a network costs to run, as far as that can be told before it is exported."""

from __future__ import annotations

import statistics
import time

import torch
from torch import Tensor

from training.networks.language_network import LanguageNetwork
from training.networks.network import Trainable
from training.recipe import Recipe

NUM_WARMUPS, NUM_RUNS = 3, 15


def count_parameters(network: Trainable) -> int:
    """All that is learnt."""
    return sum(parameter.numel() for parameter in network.parameters())


def measure_latency_ms(network: Trainable, recipe: Recipe) -> float:
    """The median time of one example on one thread of this machine, as torch runs it: good enough to tell networks
    apart. What a server will take is measured at export."""
    example, threads, was_training = example_input(network, recipe), torch.get_num_threads(), network.training
    device = next(network.parameters()).device
    network.cpu().eval()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            return statistics.median([run_once(network, example) for _ in range(NUM_WARMUPS + NUM_RUNS)][NUM_WARMUPS:])
    finally:
        torch.set_num_threads(threads)
        network.to(device).train(was_training)


def run_once(network: Trainable, example: Tensor) -> float:
    """In milliseconds."""
    start = time.perf_counter()
    network(example)
    return (time.perf_counter() - start) * 1000


def example_input(network: Trainable, recipe: Recipe) -> Tensor:
    """A grey picture uint8 [1, H, W, 3], or a full context of tokens INT64 [1, context]."""
    if isinstance(network, LanguageNetwork):
        return torch.zeros(1, recipe.text_config.context, dtype=torch.int64)
    image = recipe.image_spec
    return torch.full((1, image.height, image.width, 3), 128, dtype=torch.uint8)
